"""Routes of batches: OpenAI's shape (an uploaded file) and OpenRouter's (requests in the body)."""

import asyncio
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api.batches import create
from api.batches import results as batch_results
from api.batches.response_schemas import (
    Batch,
    BatchForecast,
    BatchList,
    BatchWithResults,
    DeletedBatch,
)
from api.batches.schemas import BATCH_BODY, BatchRetryBody
from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import Caller, IdempotencyKey, Runner, ServicesDep
from api.core.errors import json_response
from api.core.request import BatchCursor, Moment
from api.core.services import Services
from api.files.routes import render_page
from broker.accounts import Principal, Scope
from broker.batches import (
    BatchPage,
    BatchReport,
    BatchState,
    StopReason,
    endings,
    reports,
    stop_batch,
)
from broker.batches.view import batch as view
from broker.clock import now_ms
from broker.errors import NotFoundError

router = APIRouter(route_class=Route, prefix="/batches", tags=["batches"])
BatchId: TypeAlias = Annotated[str, Path(description="The id of the batch (`batch_…`).")]


@router.post(
    "",
    dependencies=[Depends(BATCH_BODY)],
    response_model=Batch | BatchForecast,
    response_description="Accepted, with `input_file_id`; or the forecast of a `dry_run`.",
    responses={202: {"model": Batch, "description": "Accepted, with `requests`."}},
)
async def create_batch(
    request: Request, services: ServicesDep, principal: Runner, key: IdempotencyKey
) -> Response:
    """Accept a batch. It is stored when this answers, and validated after that.

    With `input_file_id` the status is 200, as OpenAI's; with `requests` it is 202, as OpenRouter's.
    `dry_run` returns a forecast, and nothing is written.
    """
    return await create.create_batch(request, services, principal, key)


@router.get("", response_model=BatchList)
async def list_batches(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=100, description="The most batches of a page.")] = 20,
    after: Annotated[
        BatchCursor | None, Query(description="The last id of the previous page.")
    ] = None,
    status: Annotated[
        list[BatchState] | None, Query(description="A state to list; may be repeated.")
    ] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only later batches: Unix seconds or ISO 8601.")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only earlier batches: Unix seconds or ISO 8601.")
    ] = None,
) -> Response:
    """List the workspace's batches, newest first."""
    query = BatchPage(
        principal.workspace_id,
        limit + 1,
        after,
        tuple(status or ()),
        reading.to_milliseconds(created_after, "created_after"),
        reading.to_milliseconds(created_before, "created_before"),
        principal.owner_filter(Scope.JOBS),
    )
    found = await services.database.read(reports.page, query)
    data = [view(each) for each in found[:limit]]
    return json_response(render_page(data, has_more=len(found) > limit))


@router.get("/{batch_id}", response_model=BatchWithResults)
async def get_batch(
    services: ServicesDep,
    principal: Caller,
    batch_id: BatchId,
    results: Annotated[
        bool | None, Query(description="Whether to include a page of results.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most results of a page.")] = 100,
    after: Annotated[int, Query(ge=0, description="The `last_line` of the previous page.")] = 0,
    ended_after: Annotated[
        float | None, Query(ge=0, description="Only lines that ended later: Unix seconds.")
    ] = None,
) -> Response:
    """Return a batch. `results=true` adds a page of the lines that have ended, in input order.

    To follow a running batch, set `ended_after` to the `complete_until` of the first page of the
    previous request. A few results come twice, and none is missed. A batch whose requests came in
    the body has all its results when it has ended.
    """
    found = await _find(services, principal, batch_id)
    if results:
        since = reading.to_milliseconds(ended_after, "ended_after")
        return json_response(await batch_results.render_page(services, found, after, limit, since))
    has_ended = found.row.ended_at is not None
    if results is None and found.row.inline and has_ended:
        pieces = batch_results.render_whole(services, found)
        return StreamingResponse(pieces, media_type="application/json")
    return json_response(view(found))


@router.post("/{batch_id}/cancel", response_model=Batch)
async def cancel_batch(services: ServicesDep, principal: Caller, batch_id: BatchId) -> Response:
    """Cancel a batch: no further line starts. Its answers are kept, and its files are written."""
    await _find(services, principal, batch_id)
    await services.database.write(
        stop_batch, batch_id, StopReason.CANCELLED, now_ms(), principal.workspace_id
    )
    return json_response(view(await _find(services, principal, batch_id)))


@router.post("/{batch_id}/retry", status_code=202, response_model=Batch)
async def retry_batch(
    services: ServicesDep,
    principal: Runner,
    body: BatchRetryBody,
    key: IdempotencyKey,
    batch_id: BatchId,
) -> Response:
    """Run the failed lines again: as a new batch, whose `retry_of` is this one."""
    found = await _find(services, principal, batch_id)
    return await create.retry_batch(services, principal, found, body, key)


@router.delete("/{batch_id}", response_model=DeletedBatch)
async def delete_batch(services: ServicesDep, principal: Caller, batch_id: BatchId) -> Response:
    """Delete a batch that has ended, with its files. A batch that has not is refused with 409."""
    await _find(services, principal, batch_id)
    for file_id in await services.database.write(
        endings.delete_batch, batch_id, principal.workspace_id
    ):
        await asyncio.to_thread(services.files.delete, file_id)
    return json_response(
        {
            "id": batch_id,
            "object": "batch",
            "deleted": True,
            "deletion": {"openrouter": "deleted"},  # OpenRouter's form of the same
        }
    )


async def _find(services: Services, principal: Principal, batch_id: str) -> BatchReport:
    found = await services.database.read(reports.find, principal.workspace_id, batch_id)
    if found is None or not principal.sees(found.row.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no batch {batch_id}.")
    return found
