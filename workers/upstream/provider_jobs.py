"""One call whose answer the provider makes as a job: it is submitted once, and polled to its end.

What identifies the job is stored before it is polled. When the worker is lost, the next attempt
gets it and polls on; the job is not submitted again.
"""

import asyncio
from contextlib import suppress

import aiohttp
import structlog

from broker.completion import AttemptAnswer, BackgroundAnswer, Document, Failure
from workers.adapters.base import CutOffError, HttpRequest, MalformedAnswerError
from workers.operations.base import JobAdapter
from workers.upstream.answer_body import AnswerTooLargeError, read_body
from workers.upstream.provider_call import (
    AGAIN,
    CANCEL_SECONDS,
    LOST,
    MAX_ERROR_BYTES,
    SHAPE_ERRORS,
    ProviderCall,
    UnreadableError,
)

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 3.0
SLOWDOWN = 1.5

log = structlog.get_logger()


async def run_job(call: ProviderCall, adapter: JobAdapter, built: HttpRequest) -> AttemptAnswer:
    """Submit the job of a request, or take over that of the attempt before; return its result.

    Raises what `ProviderCall.run` raises.
    """
    answer = call.handover.received
    if answer is None:
        submitted = await _submit(call, adapter, built)
        if isinstance(submitted, Failure):
            return submitted
        answer = submitted
        await call.handover.store(answer)
    else:
        call.watch.note_continued()
    try:
        return await _await_result(call, adapter, answer)
    except asyncio.CancelledError:
        if not call.handover.goes_on():
            await _cancel(call, adapter, answer)
        raise


async def _submit(
    call: ProviderCall, adapter: JobAdapter, built: HttpRequest
) -> BackgroundAnswer | Failure:
    async with call.send(built) as response:
        call.watch.note_bytes(is_background=True)
        if not response.is_success:
            body = await read_body(response, call.watch, MAX_ERROR_BYTES, cut=True)
            return adapter.read_error(response.status, response.headers, body)
        call.on_headers(response.headers)
        body = await read_body(response, call.watch, MAX_ERROR_BYTES)
    try:
        return adapter.read_submission(body, call.upstream)
    except (MalformedAnswerError, *SHAPE_ERRORS) as error:
        raise UnreadableError(None) from error


async def _await_result(
    call: ProviderCall, adapter: JobAdapter, answer: BackgroundAnswer
) -> AttemptAnswer:
    """Poll a job until it has ended. A lost connection, or a busy provider, is asked again."""
    pause = FIRST_PAUSE_SECONDS
    request: HttpRequest | None = None  # for the result of a job that has ended
    while True:
        fetched = await _fetch(call, adapter, request or adapter.build_poll(answer, call.upstream))
        if isinstance(fetched, Failure):
            return fetched
        if fetched is not None:
            found = _read(call, adapter, answer, fetched, is_result=request is not None)
            if isinstance(found, Document):
                return found
            if found is not None:
                request = found
                continue
        await asyncio.sleep(pause)
        pause = min(SLOWDOWN * pause, LONGEST_PAUSE_SECONDS)


async def _fetch(
    call: ProviderCall, adapter: JobAdapter, built: HttpRequest
) -> bytes | Failure | None:
    """Return the body of an answer, or None where it can be requested again.

    Raises CutOffError if the provider does not know the job.
    """
    try:
        async with call.send(built) as response:
            body = await read_body(response, call.watch, call.max_bytes)
    except LOST as error:
        log.info("upstream.lost_again", provider=call.upstream.slug, error=repr(error)[:500])
        return None
    except AnswerTooLargeError as error:
        raise UnreadableError(None) from error
    finally:
        call.watch.note_bytes(is_background=True)
    if response.is_success:
        return body
    if response.status in AGAIN:
        return None
    if response.status in (404, 410):
        raise CutOffError("the job is not known there any more")
    return adapter.read_error(response.status, response.headers, body)


def _read(
    call: ProviderCall,
    adapter: JobAdapter,
    answer: BackgroundAnswer,
    body: bytes,
    *,
    is_result: bool,
) -> Document | HttpRequest | None:
    try:
        if is_result:
            document = adapter.read_response(body, call.request)
            return document if isinstance(document, Document) else None
        return adapter.read_poll(body, answer, call.request, call.upstream)
    except (MalformedAnswerError, *SHAPE_ERRORS) as error:
        raise UnreadableError(None) from error


async def _cancel(call: ProviderCall, adapter: JobAdapter, answer: BackgroundAnswer) -> None:
    """Stop a job for which nobody waits."""
    built = adapter.build_cancellation(answer, call.upstream)
    if built is None:
        return
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(CANCEL_SECONDS), call.send(built) as response:
            log.info("upstream.cancelled", provider=call.upstream.slug, status=response.status)
