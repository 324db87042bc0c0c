"""Routes of Anthropic's Message Batches: a view of our batches, over any model."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, TypeAlias

import orjson
from fastapi import APIRouter, Path, Query
from fastapi.params import Depends as Dependency
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.batches.create import create_inline_batch
from api.batches.read_body import REQUESTS, read_batch_body
from api.core.bodies import DescribedBody, Route
from api.core.dependencies import Caller, Runner, ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.files.uploads import uploading
from api.messages.batch_schemas import (
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchList,
    MessageBatchRequest,
    MessageBatchResult,
)
from broker.accounts import Principal, Scope
from broker.batches import (
    Assembler,
    BatchOptions,
    BatchPage,
    BatchReport,
    Findings,
    StopReason,
    endings,
    reports,
    stop_batch,
)
from broker.batches.message_view import render_batch, render_result
from broker.batches.options import MAX_BYTES
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import Dialect
from broker.errors import InvalidRequestError, NotFoundError
from broker.ids import batch_of_messages, is_id, message_batch_id
from broker.requests.operations import Operation

EXAMPLE: Json = {
    "requests": [
        {
            "custom_id": "first",
            "params": {
                "model": "acme/small",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": "Hello"}],
            },
        }
    ]
}
_NAMES = {"body": "params"}
"""Fields of a line with another name in a request."""

router = APIRouter(route_class=Route, prefix="/messages/batches", tags=["messages"])
BatchId: TypeAlias = Annotated[str, Path(description="The id of the batch (`msgbatch_…`).")]


@router.post(
    "",
    response_model=MessageBatch,
    dependencies=[Dependency(DescribedBody(MessageBatchRequest, EXAMPLE))],
)
async def create_message_batch(
    request: Request, services: ServicesDep, principal: Runner
) -> Response:
    """Accept a batch of messages. The `params` of its requests are checked when they are run.

    A batch whose `custom_id`s are not unique, or without any request that can be read, is refused.
    """
    async with uploading(services, principal, MAX_BYTES) as (draft, _):

        def write(line: bytes) -> None:
            draft.write(_build_line(orjson.loads(line)))

        fields = await read_batch_body(request, write, MAX_BYTES)
        if not fields.pop(REQUESTS, False):
            raise InvalidRequestError("requests: is needed.", param=REQUESTS)
        _refuse_unusable(draft.findings())
        options = BatchOptions(Operation.CHAT, Dialect.MESSAGES)
        found = await create_inline_batch(services, principal, draft, options)
    return json_response(await _render(request, services, found))


def _refuse_unusable(found: Findings) -> None:
    """Raise InvalidRequestError for requests of which none would be run."""
    if not found.problems or not found.stops_batch:
        return
    first = found.problems[0]
    name = _NAMES.get(first["param"], first["param"])
    field = f"{REQUESTS}.{first['line'] - 1}.{name}"
    reason = first["message"].removeprefix(f"{first['param']}: ")
    raise InvalidRequestError(f"{field}: {reason}", param=field)


def _build_line(given: object) -> bytes:
    """Return the line of a batch for a request. One without the right fields fails as a line."""
    line: Json = {"url": "/v1/messages"}
    if isinstance(given, dict):
        line |= {"custom_id": given.get("custom_id"), "body": given.get("params")}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@router.get("", response_model=MessageBatchList)
async def list_message_batches(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most batches of a page.")] = 20,
    after_id: Annotated[
        str | None, Query(description="The `last_id` of the previous page.")
    ] = None,
    before_id: Annotated[
        str | None, Query(description="The `first_id` of the next page: gets the page before it.")
    ] = None,
) -> Response:
    """List the workspace's batches of messages, newest first."""
    page = BatchPage(
        principal.workspace_id,
        limit + 1,
        None if after_id is None else batch_of_messages(after_id),
        api_key_id=principal.owner_filter(Scope.JOBS),
        dialect=Dialect.MESSAGES,
        before=None if before_id is None else batch_of_messages(before_id),
    )
    found = await services.database.read(reports.page, page)
    shown = found[:limit] if before_id is None else found[-limit:]
    data = [await _render(request, services, each) for each in shown]
    return json_response(
        {
            "data": data,
            "has_more": len(found) > limit,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
    )


@router.get("/{batch_id}", response_model=MessageBatch)
async def get_message_batch(
    request: Request, services: ServicesDep, principal: Caller, batch_id: BatchId
) -> Response:
    """Return a batch of messages."""
    found = await _find(services, principal, batch_id)
    return json_response(await _render(request, services, found))


@router.post("/{batch_id}/cancel", response_model=MessageBatch)
async def cancel_message_batch(
    request: Request, services: ServicesDep, principal: Caller, batch_id: BatchId
) -> Response:
    """Cancel a batch of messages: no further request starts. Its results are kept."""
    found = await _find(services, principal, batch_id)
    await services.database.write(
        stop_batch, found.row.id, StopReason.CANCELLED, now_ms(), principal.workspace_id
    )
    found = await _find(services, principal, batch_id)
    return json_response(await _render(request, services, found))


@router.delete("/{batch_id}", response_model=DeletedMessageBatch)
async def delete_message_batch(
    services: ServicesDep, principal: Caller, batch_id: BatchId
) -> Response:
    """Delete a batch of messages that has ended, with its results."""
    found = await _find(services, principal, batch_id)
    for file_id in await services.database.write(
        endings.delete_batch, found.row.id, principal.workspace_id
    ):
        await asyncio.to_thread(services.files.delete, file_id)
    return json_response({"id": batch_id, "type": "message_batch_deleted"})


@router.get(
    "/{batch_id}/results",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "application/x-jsonl": {
                    "schema": {"$ref": "#/components/schemas/MessageBatchResult"}
                }
            },
            "description": "A result on each line, in the order of the requests.",
            "model": MessageBatchResult,
        }
    },
)
async def get_message_batch_results(
    services: ServicesDep, principal: Caller, batch_id: BatchId
) -> Response:
    """Return the results of a batch that has ended, one on each line (JSONL)."""
    found = await _find(services, principal, batch_id)
    if found.row.ended_at is None:
        raise InvalidRequestError(
            f"The results of {batch_id} are not complete yet: wait until its `processing_status` "
            "is `ended`.",
            param="batch_id",
        )
    lines = _list_results(services, found)
    return StreamingResponse(lines, media_type="application/x-jsonl")


def _list_results(services: Services, found: BatchReport) -> Iterator[bytes]:
    """Yield the results as lines of JSON. Blocking."""
    assembler = Assembler(services.database, services.files, services.settings.public_url)
    for shown in assembler.results(found.row):
        yield orjson.dumps(render_result(shown), option=orjson.OPT_APPEND_NEWLINE)


async def _render(request: Request, services: Services, found: BatchReport) -> Json:
    states = await services.database.read(reports.count_states, found.row)
    path = f"v1/messages/batches/{message_batch_id(found.row.id)}/results"
    return render_batch(found, states, f"{request.base_url}{path}")


async def _find(services: Services, principal: Principal, batch_id: str) -> BatchReport:
    """Return a batch of messages that the caller sees. Raises NotFoundError."""
    if is_id("msgbatch_", batch_id):
        own_id = batch_of_messages(batch_id)
        found = await services.database.read(reports.find, principal.workspace_id, own_id)
        if (
            found is not None
            and principal.sees(found.row.api_key_id, Scope.JOBS)
            and found.row.dialect is Dialect.MESSAGES
        ):
            return found
    raise NotFoundError(f"There is no batch {batch_id}.")
