"""POST /chat/completions: a job whose caller waits, streams, or comes back later."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import answering, caching, explaining, forgetting, intake, reading
from api.documents import LATER, body_of
from api.routes.direct import DirectRoute
from api.services import Services, services_of
from api.serving import serve
from api.streaming import ChatStream, chat_response
from broker.accounts import Principal
from broker.events import Event
from broker.operations import Operation
from broker.submission import NewJob

router = APIRouter(tags=["chat"], route_class=DirectRoute)


@router.post("/chat/completions", openapi_extra=body_of(Operation.CHAT), responses=LATER)
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion: answered, streamed, or accepted for later (`Prefer`)."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    job = await intake.prepared(request, services, principal, body, reading.wish(request))
    is_streamed = body.get("stream") and not reading.preference(request).respond_async

    async def answered() -> Response:
        if is_streamed:
            return await _stream(request, services, principal, job)
        response = await serve(request, services, principal, job)
        if explaining.is_wanted(request):
            return await explaining.explained(services, principal, response)
        return response

    async def retold(job_id: str) -> Response:
        if is_streamed:
            return await _chunks(request, services, principal, job, job_id)
        return await answering.stored(services, principal, job_id)

    cache = caching.wanted(request, principal, job)
    return await caching.through(services, cache, job, answered, retold)


async def _stream(
    request: Request, services: Services, principal: Principal, job: NewJob
) -> Response:
    """Answer with the job's chunks as they come."""
    cancels = answering.wants_cancel_on_disconnect(request)
    with services.news.listen(job.id):
        submitted = await intake.submit(services, job)
        job_id = submitted.job_id

        async def on_gone() -> None:
            if cancels and not submitted.replayed:  # it is somebody else's call too
                await answering.cancel_quietly(services, principal, job_id)

        return await _chunks(request, services, principal, job, job_id, on_gone)


async def _not_missed() -> None:
    """Do nothing when the caller of an answer that is there already has gone."""


async def _chunks(
    request: Request,
    services: Services,
    principal: Principal,
    job: NewJob,
    job_id: str,
    on_gone: Callable[[], Coroutine[Any, Any, None]] = _not_missed,
) -> Response:
    """Answer with the chunks of the job that was submitted for `job`."""
    source = _events(services, principal, job_id)
    source = forgetting.once_told(services, job_id, job.row["store"], source)
    if explaining.is_wanted(request):
        source = explaining.explained_stream(services, principal, job_id, source)
    return await chat_response(
        source,
        ChatStream(job_id, model=job.row["model"]),
        keep_alive=services.settings.keep_alive_seconds,
        on_gone=on_gone,
    )


async def _events(
    services: Services, principal: Principal, job_id: str
) -> AsyncGenerator[list[Event]]:
    with services.news.listen(job_id) as listener:
        async for told in services.news.follow(listener, principal.workspace_id):
            yield told
