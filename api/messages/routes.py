"""Routes of messages: POST /messages, its token count, and the stored messages."""

import contextlib
from typing import Annotated, TypeAlias

import orjson
from fastapi import APIRouter, Path, Query
from fastapi.params import Depends as Dependency
from starlette.requests import Request
from starlette.responses import Response

from api.completions.call import answer_call, ignore_disconnect
from api.completions.schemas import LATER
from api.core import request as reading
from api.core.bodies import DescribedBody, DirectRoute, Route
from api.core.dependencies import (
    APP_HEADERS,
    CALL_HEADERS,
    LAST_EVENT_ID,
    Caller,
    ServicesDep,
    describe_header,
)
from api.core.errors import json_response
from api.core.services import Services, get_services
from api.jobs import actions, delete_after_delivery, responses
from api.jobs.streaming import chunk_response, resume_point
from api.jobs.styles import AnswerRenderer, DialectCall
from api.jobs.token_counts import count_tokens
from api.messages.response_schemas import Message, TokenCount
from api.messages.style import STYLE, MessageEvents
from broker.accounts import Principal
from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.messages.answer import render_head, render_usage
from broker.dialects.messages.request import translate_prompt, translate_request
from broker.dialects.messages.schemas import MessagesBody, PromptBody
from broker.dialects.messages.stream import MessageStream
from broker.enums import Dialect
from broker.errors import NotFoundError
from broker.events.job_events import ENDS
from broker.ids import is_id, job_of_message
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.requests.operations import Operation

EXAMPLE: Json = {
    "model": "acme/small",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
_PROMPT_EXAMPLE: Json = {name: value for name, value in EXAMPLE.items() if name != "max_tokens"}
_MAX_BETAS = 100

BETA_HEADERS = (
    Dependency(
        describe_header("anthropic-version", "The version of the API; every one is accepted.")
    ),
    Dependency(
        describe_header("anthropic-beta", "Betas, which Anthropic's endpoints get, e.g. `a,b`.")
    ),
)
router = APIRouter(route_class=DirectRoute, prefix="/messages", tags=["messages"])
stored_router = APIRouter(route_class=Route, prefix="/messages", tags=["messages"])
MessageId: TypeAlias = Annotated[str, Path(description="The id of the message (`msg_…`).")]


@router.post(
    "",
    response_model=Message,
    dependencies=[Dependency(DescribedBody(MessagesBody, EXAMPLE)), *BETA_HEADERS, *CALL_HEADERS],
    responses=LATER,
)
async def create_message(request: Request) -> Response:
    """Create a message over any model: as an answer or a stream (Anthropic's Messages API).

    Content that only Anthropic's endpoints have (their tools, search results, files) is sent to
    them as it is. The header `X-Waybill-Warnings` names fields that the endpoint does not read.
    """
    services = get_services(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    return await answer_message(request, services, principal, body)


async def answer_message(
    request: Request, services: Services, principal: Principal, body: Json
) -> Response:
    """Submit the job of a body in Anthropic's dialect; return its message or its stream."""
    translated = translate_request(body, read_betas(request))
    call = DialectCall(STYLE, body, translated)
    return await answer_call(request, services, principal, translated.body, Operation.CHAT, call)


def read_betas(request: Request) -> list[str]:
    """Return the betas of the headers `anthropic-beta`."""
    named = ",".join(request.headers.getlist("anthropic-beta")).split(",")
    return [beta for each in named if (beta := each.strip())][:_MAX_BETAS]


@router.post(
    "/count_tokens",
    response_model=TokenCount,
    dependencies=[
        Dependency(DescribedBody(PromptBody, _PROMPT_EXAMPLE)),
        *BETA_HEADERS,
        *APP_HEADERS,
    ],
)
async def count_message_tokens(request: Request) -> Response:
    """Estimate the tokens of a prompt, by its length. Nothing is sent, stored or charged."""
    services = get_services(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    translated = translate_prompt(body, read_betas(request)).body
    tokens = await count_tokens(request, services, principal, translated)
    return json_response({"input_tokens": tokens, "estimated": True})


@stored_router.get(
    "/{message_id}",
    response_model=Message,
    dependencies=[LAST_EVENT_ID],
    responses={202: {"model": Message, "description": "It is being made."}},
)
async def get_message(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    message_id: MessageId,
    stream: Annotated[
        bool, Query(description="Whether the message comes as server-sent events.")
    ] = False,
    starting_after: Annotated[
        int | None, Query(ge=0, description="The `id` of the last event received.")
    ] = None,
) -> Response:
    """Return a message that was created before, or its stream (Waybill's addition).

    A stream that was cut is resumed with `stream=true` and `starting_after`: the events have
    numbers as their SSE ids. The message is made also when its caller has disconnected.
    """
    found = await _find(services, principal, message_id)
    job = _describe_job(found)
    if stream:
        last = resume_point(request, starting_after)
        return await _resume(request, services, principal, found, last)
    if found.job.state not in ENDS:
        begun = {**render_head(job, {}), "content": [], "stop_reason": None}
        return json_response(begun | {"usage": render_usage({}, {})}, 202, {"Retry-After": "1"})
    end = reports.past_events(found)[-1]
    renderer = AnswerRenderer(STYLE, job)
    response = await responses.end_response(
        request, services, principal, found.job.id, end, renderer
    )
    return delete_after_delivery.mark_after_response(services, found, response)


async def _resume(
    request: Request, services: Services, principal: Principal, found: JobReport, after: int
) -> Response:
    services.open_streams.take(request, principal)
    job = _describe_job(found)
    source = services.subscriptions.follow_job(job.id, principal.workspace_id, latest=True)
    source = delete_after_delivery.mark_after_stream(services, job.id, found.job.store, source)
    return await chunk_response(
        request,
        source,
        MessageEvents(job.id, MessageStream(job), after),
        keep_alive=services.settings.keep_alive_seconds,
        headers={},
        on_gone=ignore_disconnect,
    )


async def _find(services: Services, principal: Principal, message_id: str) -> JobReport:
    """Return the job of a message that the caller sees. Raises NotFoundError."""
    with contextlib.suppress(NotFoundError):
        if is_id("msg_", message_id):
            found = await actions.find_job(services, principal, job_of_message(message_id))
            if found.job.dialect is Dialect.MESSAGES:
                return found
    raise NotFoundError(f"There is no message {message_id[:64]}.")


def _describe_job(found: JobReport) -> DialectJob:
    body = found.payload.caller_body
    created = found.job.created_at // 1000
    return DialectJob(found.job.id, found.job.model, created, orjson.loads(body) if body else {})
