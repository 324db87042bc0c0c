"""/batches: OpenAI's shape (an uploaded file) and OpenRouter's (requests in the body)."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from api.batches import create
from api.batches import results as batch_results
from api.batches.schemas import BATCH_BODY, BatchRetryBody
from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import Caller, IdempotencyKey, Runner, ServicesDep
from api.core.errors import json_response
from api.core.request import BatchCursor, Moment
from api.core.services import Services
from api.files.routes import listed
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


@router.post(
    "",
    dependencies=[Depends(BATCH_BODY)],
    response_description="Accepted, with `input_file_id`.",
    responses={202: {"description": "Accepted, with `requests`."}},
)
async def create_batch(request: Request, services: ServicesDep, principal: Runner) -> Response:
    """Accept a batch: it is safe once this answers, and validated after that.

    With `input_file_id` 200, as OpenAI; with `requests` 202, as OpenRouter. `dry_run` only tells
    what would be done.
    """
    return await create.create(request, services, principal)


@router.get("")
async def list_batches(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: BatchCursor | None = None,
    status: Annotated[list[BatchState] | None, Query()] = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
) -> Response:
    """List the workspace's batches, newest first; `after` is the last id of the page before.

    `status` may be repeated. Times are Unix seconds or ISO 8601.
    """
    wanted = BatchPage(
        principal.workspace_id,
        limit + 1,
        after,
        tuple(status or ()),
        reading.milliseconds(created_after, "created_after"),
        reading.milliseconds(created_before, "created_before"),
        principal.owner_filter(Scope.JOBS),
    )
    found = await services.database.read(reports.page, wanted)
    data = [view(each) for each in found[:limit]]
    return json_response(listed(data, has_more=len(found) > limit))


@router.get("/{batch_id}")
async def get_batch(
    services: ServicesDep,
    principal: Caller,
    batch_id: str,
    results: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=0)] = 0,
    ended_after: Annotated[float | None, Query(ge=0)] = None,
) -> Response:
    """Show a batch. With `results=true` also a page of the lines that have ended, in input order.

    Whoever follows a running batch asks for what is new: `ended_after` (Unix seconds) is the
    `complete_until` of the first page of the look before; a few lines come twice, none is missed.
    A batch whose requests came in the body brings all its results once it has ended.
    """
    found = await _find(services, principal, batch_id)
    if results:
        since = reading.milliseconds(ended_after, "ended_after")
        return json_response(await batch_results.page(services, found, after, limit, since))
    has_ended = found.row.ended_at is not None
    if results is None and found.row.inline and has_ended:
        whole = batch_results.whole(services, found)
        return StreamingResponse(whole, media_type="application/json")
    return json_response(view(found))


@router.post("/{batch_id}/cancel")
async def cancel_batch(services: ServicesDep, principal: Caller, batch_id: str) -> Response:
    """Let no more lines begin; what is done is kept, and the files are written as ever."""
    await _check_own(services, principal, batch_id)
    await services.database.write(
        stop_batch, batch_id, StopReason.CANCELLED, now_ms(), principal.workspace_id
    )
    return json_response(view(await _find(services, principal, batch_id)))


@router.post("/{batch_id}/retry", status_code=202)
async def retry_batch(
    services: ServicesDep,
    principal: Runner,
    body: BatchRetryBody,
    key: IdempotencyKey,
    batch_id: str,
) -> Response:
    """Run the lines that failed once more: a new batch, linked by `retry_of`."""
    found = await _find(services, principal, batch_id)
    return await create.retry(services, principal, found, body, key)


@router.delete("/{batch_id}")
async def delete_batch(services: ServicesDep, principal: Caller, batch_id: str) -> Response:
    """Forget a batch that has ended, with its files; 409 while it has not."""
    await _check_own(services, principal, batch_id)
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


async def _check_own(services: Services, principal: Principal, batch_id: str) -> None:
    """Raise NotFoundError where the caller sees its own batches only, and this is another's."""
    if principal.owner_filter(Scope.JOBS) is not None:
        await _find(services, principal, batch_id)


async def _find(services: Services, principal: Principal, batch_id: str) -> BatchReport:
    found = await services.database.read(reports.find, principal.workspace_id, batch_id)
    if found is None or not principal.sees(found.row.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no batch {batch_id}.")
    return found
