"""One call: a body becomes a job, and the job's answer or stream becomes the response."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api import serving
from api.completions import response_cache, routing_metadata
from api.core import request as reading
from api.core.services import Services
from api.jobs import actions, delete_after_delivery, responses, submit
from api.jobs.call_timeout import bound_waiting
from api.jobs.streaming import ChunkStream, chunk_response
from api.serving import serve
from api.webhooks.urls import take_webhook
from broker.accounts import Principal
from broker.completion import Json
from broker.events import Event
from broker.operations import STREAMED, Operation
from broker.submission import NewJob


async def answer_call(
    request: Request, services: Services, principal: Principal, body: Json, operation: Operation
) -> Response:
    """Submit a job for `body`; answer with its result, its stream, or where to find it later."""
    webhook = take_webhook(body, services.settings.allowed_networks)
    wish = replace(reading.wish(request, operation), webhook=webhook)
    job = await submit.prepared(request, services, principal, body, wish)
    is_streamed = job.row["stream"] and not reading.preference(request).respond_async

    async def answered() -> Response:
        if is_streamed:
            return await _stream(request, services, principal, job)
        response = await serve(request, services, principal, job)
        if operation in STREAMED and routing_metadata.is_wanted(request):
            return await routing_metadata.explained(services, principal, response)
        return response

    async def retold(job_id: str) -> Response:
        if is_streamed:
            return await _chunks(request, services, principal, job, job_id)
        return await responses.stored(services, principal, job_id)

    if is_streamed:
        services.open_streams.take(request, principal)
    cache = response_cache.wanted(request, principal, job)
    return await response_cache.through(services, cache, job, answered, retold)


async def _stream(
    request: Request, services: Services, principal: Principal, job: NewJob
) -> Response:
    """Answer with the job's chunks as they come."""
    cancels = serving.wants_cancel_on_disconnect(request)
    waits = serving.waits_for_usage(request)
    with services.news.listen(job.id):
        submitted = await submit.submit(services, job)
        job_id = submitted.job_id

        async def on_gone() -> None:
            if cancels and not submitted.replayed:  # it is somebody else's call too
                await actions.cancel_quietly(services, principal, job_id, waits=waits)

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
    source = delete_after_delivery.once_told(services, job_id, job.row["store"], source)
    if routing_metadata.is_wanted(request):
        source = routing_metadata.explained_stream(services, principal, job_id, source)
    return await chunk_response(
        bound_waiting(services, principal, job_id, source),
        ChunkStream(
            job_id,
            model=job.row["model"],
            created=job.row["created_at"] // 1000,
            operation=Operation(job.row["operation"]),
        ),
        keep_alive=services.settings.keep_alive_seconds,
        on_gone=on_gone,
    )


async def _events(
    services: Services, principal: Principal, job_id: str
) -> AsyncGenerator[list[Event]]:
    with services.news.listen(job_id) as listener:
        async for told in services.news.follow(listener, principal.workspace_id, latest=True):
            yield told
