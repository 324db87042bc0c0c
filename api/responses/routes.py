"""Routes of OpenAI's Responses API: create, fetch, follow, cancel and delete responses.

A response is a job whose body and answer are in this dialect. Its id is that of the job, with
`resp_` instead of `job_`.
"""

import contextlib
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.completions.call import answer_call
from api.completions.schemas import LATER
from api.core import request as reading
from api.core.bodies import DirectRoute, Route
from api.core.dependencies import CALL_HEADERS, Caller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services, get_services
from api.jobs import actions, call_timeout, delete_after_delivery, responses
from api.jobs.styles import DialectCall
from api.jobs.token_counts import count_tokens
from api.responses import stored
from api.responses.background import accept_response, follow_response
from api.responses.response_schemas import (
    DeletedResponse,
    InputItemPage,
    InputTokens,
    ResponseObject,
)
from api.responses.schemas import INCLUDE, OBFUSCATION, RESPONSE_BODY, ResponseId
from api.responses.style import STYLE
from broker.accounts import Principal
from broker.completion import Json
from broker.dialects.base import TranslatedRequest
from broker.dialects.responses.items import list_input
from broker.dialects.responses.request import check_request, translate_request
from broker.errors import ConflictError, InvalidRequestError
from broker.requests.operations import Operation

CANCEL_SECONDS = 5.0
"""The time in which a cancelled call usually ends; longer waits are for the provider's usage."""

calls_router = APIRouter(route_class=DirectRoute, tags=["responses"])
router = APIRouter(route_class=Route, prefix="/responses", tags=["responses"])


@calls_router.post(
    "/responses",
    response_model=ResponseObject,
    dependencies=[RESPONSE_BODY, *CALL_HEADERS],
    responses=LATER,
)
async def create_response(request: Request) -> Response:
    """Create a response (OpenAI's Responses API), from any model that chats.

    With `stream` its events are sent as they happen. With `background` the answer is the response
    in the state `queued`: fetch or follow it by its id.
    """
    services = get_services(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    check_request(body)
    call = DialectCall(STYLE, body, await _translate(services, principal, body))
    if body.get("background"):
        return await accept_response(request, services, principal, call)
    return await answer_call(
        request, services, principal, call.translated.body, Operation.CHAT, call
    )


async def _translate(services: Services, principal: Principal, body: Json) -> TranslatedRequest:
    history, items = await stored.find_history(services, principal, body)
    return translate_request(body, history, items)


@router.post("/input_tokens", response_model=InputTokens, dependencies=[RESPONSE_BODY])
async def count_input_tokens(
    request: Request, services: ServicesDep, principal: Caller
) -> Response:
    """Estimate the input tokens of a response, by its length. Nothing is sent, stored or charged.

    The model and the rights of the caller are checked as for a response.
    """
    body = await reading.read_json(request, services.settings.max_body_bytes)
    check_request(body)
    translated = await _translate(services, principal, body)
    tokens = await count_tokens(request, services, principal, translated.body)
    return json_response({"object": "response.input_tokens", "input_tokens": tokens})


@router.get("/{response_id}", response_model=ResponseObject, dependencies=[INCLUDE, OBFUSCATION])
async def get_response(  # one parameter for each of the query
    request: Request,
    services: ServicesDep,
    principal: Caller,
    response_id: ResponseId,
    stream: Annotated[
        bool, Query(description="Whether the events of the response are sent, live to its end.")
    ] = False,
    starting_after: Annotated[
        int | None, Query(ge=0, description="The `sequence_number` of the last event received.")
    ] = None,
) -> Response:
    """Return a response in the state it is in, or its events.

    With `stream` and `starting_after` a reader that was cut off gets the events that it has not
    received, also from a response that was created without `stream`.
    """
    found = await stored.find_response(services, principal, response_id)
    if stream:
        services.open_streams.take(request, principal)
        after = -1 if starting_after is None else starting_after
        return await follow_response(services, principal, found, after=after)
    if starting_after is not None:
        raise InvalidRequestError(
            "starting_after: is for events: add stream=true.", param="starting_after"
        )
    shown = await stored.read_response(services, found)
    response = json_response(shown, 200, responses.job_headers(found.job.id))
    return delete_after_delivery.mark_after_response(services, found, response)


@router.delete("/{response_id}", response_model=DeletedResponse)
async def delete_response(
    services: ServicesDep, principal: Caller, response_id: ResponseId
) -> Response:
    """Delete the input, the answer and the events of a response that has ended.

    Its usage and cost stay on record. A response that has not ended is refused with 409: cancel it
    first.
    """
    found = await stored.find_response(services, principal, response_id)
    await delete_after_delivery.delete_content(services, principal, found.job.id)
    return json_response({"id": response_id, "object": "response", "deleted": True})


@router.post("/{response_id}/cancel", response_model=ResponseObject)
async def cancel_response(
    services: ServicesDep, principal: Caller, response_id: ResponseId
) -> Response:
    """Cancel a response, and return it. A response that has ended stays as it is.

    The provider charges what it has done. While the worker waits for the provider's usage, the
    status stays `in_progress`.
    """
    found = await stored.find_response(services, principal, response_id)
    job_id = found.job.id
    with services.subscriptions.listen(job_id) as listener, contextlib.suppress(ConflictError):
        await actions.cancel(services, principal, job_id)
        await call_timeout.wait_for_end(
            services, principal, listener, seconds=CANCEL_SECONDS, fresh=False
        )
    found = await stored.find_response(services, principal, response_id)
    shown = await stored.read_response(services, found)
    return json_response(shown, 200, responses.job_headers(job_id))


@router.get("/{response_id}/input_items", response_model=InputItemPage, dependencies=[INCLUDE])
async def list_input_items(  # one parameter for each of the query
    services: ServicesDep,
    principal: Caller,
    response_id: ResponseId,
    limit: Annotated[int, Query(ge=1, le=100, description="The most items of a page.")] = 20,
    order: Annotated[
        Literal["asc", "desc"], Query(description="`asc` lists the first item first.")
    ] = "desc",
    after: Annotated[str | None, Query(description="The last id of the previous page.")] = None,
) -> Response:
    """List the items of a response's own input, the last one first."""
    found = await stored.find_response(services, principal, response_id)
    items = list_input(stored.read_dialect_job(found).body, found.job.id)
    if order == "desc":
        items.reverse()
    if after is not None:
        known = [item["id"] for item in items]
        if after not in known:
            raise InvalidRequestError(
                f"after: {after[:64]!r} is no item of this response: give the last_id of the page "
                "before.",
                param="after",
            )
        items = items[known.index(after) + 1 :]
    page = items[:limit]
    return json_response(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > limit,
        }
    )
