"""Run one call: the body becomes a job, and its answer or stream becomes the response."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from api.completions import response_cache, routing_metadata
from api.core import request as reading
from api.core.job_subscriptions import Listener
from api.core.services import Services
from api.jobs import actions, call_timeout, delete_after_delivery, responses, submit
from api.jobs.call_timeout import bound_wait
from api.jobs.media_streaming import DocumentEvents, SoundStream, find_sound_type
from api.jobs.streaming import EVENT_STREAM, ChunkStream, chunk_response, wait_for_disconnect
from api.jobs.styles import (
    AnswerRenderer,
    DialectCall,
    StreamRenderer,
    build_warnings_header,
    list_unread,
)
from api.webhooks.urls import take_webhook
from broker.accounts import Principal
from broker.completion import Json
from broker.enums import Store
from broker.events.job_events import Event
from broker.requests.operations import TEXTS, Operation
from broker.submission import NewJob, Submitted

WAITS = reading.Preference()
"""The preference of a caller who waits for the answer."""


async def answer_call(
    request: Request,
    services: Services,
    principal: Principal,
    body: Json,
    operation: Operation,
    call: DialectCall | None = None,
) -> Response:
    """Submit a job for `body`; return its answer, its stream, or the path to fetch it later.

    A call in a dialect gets its answer in that dialect; `body` is its translation.
    """
    webhook = take_webhook(body, services.settings.allowed_networks)
    preference = reading.read_preference(request)
    options = replace(reading.read_job_options(request, operation), webhook=webhook)
    is_shared = options.coalesce or body.get("coalesce")  # a stream cannot be shared
    if operation is Operation.SPEECH and preference == WAITS and not is_shared:
        options = replace(options, streams=True)
    if call is not None:
        options = call.change_options(options)
    job = await submit.prepare_job(request, services, principal, body, options)
    renderer = None if call is None else call.bind(job)
    is_streamed = job.row["stream"] and not preference.respond_async

    async def served_answer() -> Response:
        if is_streamed:
            return await _stream_job(request, services, principal, job, body, renderer)
        response = await serve(request, services, principal, job, renderer)
        if renderer is None and operation in TEXTS and routing_metadata.is_requested(request):
            return await routing_metadata.add_metadata(services, principal, response)
        return response

    async def replayed_answer(job_id: str) -> Response:
        if is_streamed:
            stream = _create_stream(job, job_id, body, renderer)
            return await _stream_events(request, services, principal, job, stream, renderer)
        return await responses.stored_response(services, principal, job_id, renderer)

    if is_streamed:
        services.open_streams.take(request, principal)
    cache = response_cache.cache_options(request, principal, job)
    response = await response_cache.serve_cached(
        services, cache, job, served_answer, replayed_answer
    )
    if renderer is None:
        response.headers.update(build_warnings_header(list_unread(job)))
    return response


async def _stream_job(
    request: Request,
    services: Services,
    principal: Principal,
    job: NewJob,
    body: Json,
    renderer: AnswerRenderer | None,
) -> Response:
    """Submit a job; return its chunks as they arrive."""
    cancels = cancels_on_disconnect(request)
    waits = waits_for_usage(request)
    with services.subscriptions.listen(job.id) as listener:
        submitted = await submit.submit(services, job)
        job_id = submitted.job_id
        is_new = not submitted.replayed and submitted.follows is None

        async def on_gone() -> None:
            if cancels and not submitted.replayed:  # a replayed job has other callers
                await actions.cancel_quietly(services, principal, job_id, waits=waits)

        stream = _create_stream(job, job_id, body, renderer)
        if submitted.replayed and isinstance(stream, SoundStream):  # perhaps of a plain job
            return await _replay_sound(request, services, principal, submitted)
        present = listener if is_new else None
        return await _stream_events(
            request, services, principal, job, stream, renderer, on_gone, present
        )


async def _replay_sound(
    request: Request, services: Services, principal: Principal, submitted: Submitted
) -> Response:
    """Return the stored sound of an earlier job, when it has ended."""
    seconds = services.settings.sync_timeout_seconds
    with services.subscriptions.listen(submitted.job_id) as earlier:
        end = await call_timeout.wait_for_end(
            services, principal, earlier, seconds=seconds, fresh=False
        )
    if end is None:
        return await responses.timeout_response(
            request, services, principal, submitted.job_id, seconds
        )
    response = await responses.end_response(request, services, principal, submitted.job_id, end)
    return responses.mark_replay(response, submitted)


async def ignore_disconnect() -> None:
    """Do nothing when the caller of a stored answer disconnects."""


def _create_stream(
    job: NewJob, job_id: str, body: Json, renderer: AnswerRenderer | None
) -> StreamRenderer:
    """Return the renderer of the events of the job that was submitted for `job`."""
    if renderer is not None:
        return renderer.create_stream(job_id)
    operation, model = Operation(job.row["operation"]), job.row["model"]
    created = job.row["created_at"] // 1000
    if operation in TEXTS:
        return ChunkStream(job_id, model=model, created=created, operation=operation)
    if operation is Operation.SPEECH and body.get("stream_format") != "sse":
        sound = find_sound_type(body)
        return SoundStream(job_id, model, created, operation, media_type=sound)
    return DocumentEvents(job_id, model=model, created=created, operation=operation)


async def _stream_events(
    request: Request,
    services: Services,
    principal: Principal,
    job: NewJob,
    stream: StreamRenderer,
    renderer: AnswerRenderer | None,
    on_gone: Callable[[], Coroutine[Any, Any, None]] = ignore_disconnect,
    listener: Listener | None = None,
) -> Response:
    """Return the events of the job that was submitted for `job`, while `listener` listened.

    A dialect that numbers its own events needs those of earlier attempts, too.
    """
    job_id, is_chat = stream.job_id, renderer is None
    latest = renderer is None or not renderer.style.needs_all_attempts
    source = services.subscriptions.follow_job(
        job_id, principal.workspace_id, latest=latest, listener=listener
    )
    source = delete_after_delivery.mark_after_stream(services, job_id, job.row["store"], source)
    if is_chat and routing_metadata.is_requested(request):
        source = routing_metadata.add_metadata_to_stream(services, principal, job_id, source)
    return await chunk_response(
        request,
        bound_wait(services, principal, job_id, source),
        stream,
        keep_alive=services.settings.keep_alive_seconds,
        headers={} if renderer is None else renderer.headers,
        on_gone=on_gone,
        media_type=stream.media_type if isinstance(stream, SoundStream) else EVENT_STREAM,
    )


async def serve(
    request: Request,
    services: Services,
    principal: Principal,
    job: NewJob,
    renderer: AnswerRenderer | None = None,
) -> Response:
    """Submit the job; return its answer, or 202 as the caller prefers."""
    preference = reading.read_preference(request)
    if preference.respond_async and not preference.wait:
        submitted = await submit.submit(services, job)
        response = await responses.accepted_response(
            services, principal, submitted.job_id, preference
        )
        return responses.mark_replay(response, submitted)
    longest = services.settings.sync_timeout_seconds
    seconds = longest if preference.wait is None else min(preference.wait, longest)
    with services.subscriptions.listen(job.id) as listener:
        submitted = await submit.submit(services, job)
        with services.subscriptions.following(job.id, submitted.follows):
            if submitted.replayed:
                with services.subscriptions.listen(submitted.job_id) as earlier:
                    end = await call_timeout.wait_for_end(
                        services, principal, earlier, seconds=seconds, fresh=False
                    )
            elif cancels_on_disconnect(request):
                end = await _wait_or_cancel(request, services, principal, listener, seconds)
            else:
                end = await call_timeout.wait_for_end(
                    services, principal, listener, seconds=seconds, fresh=True
                )
    if end is not None:
        response = await responses.end_response(
            request, services, principal, submitted.job_id, end, renderer
        )
        if job.row["store"] == Store.NONE and not submitted.replayed:
            response.background = BackgroundTask(
                delete_after_delivery.mark_fetched, services, job.id
            )
    elif preference.wait is not None:
        response = await responses.accepted_response(
            services, principal, submitted.job_id, preference
        )
    else:
        response = await responses.timeout_response(
            request, services, principal, submitted.job_id, seconds
        )
    return responses.mark_replay(response, submitted)


async def _wait_or_cancel(
    request: Request, services: Services, principal: Principal, listener: Listener, seconds: float
) -> Event | None:
    """Wait as `serve` does, and cancel the job when the caller disconnects."""
    waiting = asyncio.create_task(
        call_timeout.wait_for_end(services, principal, listener, seconds=seconds, fresh=True)
    )
    disconnected = asyncio.create_task(wait_for_disconnect(request))
    await asyncio.wait({waiting, disconnected}, return_when=asyncio.FIRST_COMPLETED)
    disconnected.cancel()
    if not waiting.done():
        waits = waits_for_usage(request)
        await actions.cancel_quietly(services, principal, listener.job_id, waits=waits)
    return await waiting


def cancels_on_disconnect(request: Request) -> bool:
    """Return whether the job is cancelled when the caller disconnects."""
    return _on_disconnect(request) in {"true", "now"}


def waits_for_usage(request: Request) -> bool:
    """Return whether the worker waits for the usage after the caller has disconnected."""
    return _on_disconnect(request) != "now"


def _on_disconnect(request: Request) -> str:
    return request.headers.get("x-cancel-on-disconnect", "").lower()
