"""A job's events as server-sent events: the compatible stream, and the job's own event log.

Framing: WHATWG HTML, "Server-sent events". Both have the event's number as `id:`, so that a reader
can resume one from the other. Only the chunk with the usage has no `id:` in a compatible stream:
after the finish reason LiteLLM reads one more line, and takes the usage from that line or not at
all. A keep-alive is a comment line with a single newline. With an empty line after it, some clients
take it for an event and fail to parse it.
"""

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.jobs.responses import failed_response, job_headers
from api.jobs.styles import StreamRenderer
from broker.background import end_tasks
from broker.completion import ErrorType, Json
from broker.enums import JobState
from broker.errors import InvalidRequestError
from broker.events import job_events
from broker.events.job_events import Event
from broker.jobs.error_envelope import describe_job_failure
from broker.jobs.views import job_urls
from broker.requests import operations
from broker.requests.operations import Operation

KEEP_ALIVE = b": WAYBILL PROCESSING\n"
DONE = b"data: [DONE]\n\n"
SLICE_BYTES = 64 * 1024
EVENT_STREAM = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

Source = AsyncGenerator[list[Event]]

_closing: set["asyncio.Task[None]"] = set()  # references, so that running tasks are not collected


@dataclass(slots=True)
class ChunkStream:
    """One caller's view of a job: the chunks of a chat or text completion."""

    keep_alive: ClassVar[bytes] = KEEP_ALIVE

    job_id: str
    model: str
    created: int  # Unix seconds
    operation: Operation = Operation.CHAT
    shown: bool = False  # this caller has received a chunk
    ended: bool = False
    queued_ms: int | None = None  # of the attempt that is shown
    _lines: list[bytes] = field(default_factory=list)

    def render(self, events: Sequence[Event]) -> bytes:
        """Return the bytes of these events for this caller.

        A caller that has received no chunk yet receives none of failed attempts, either.
        """
        self._lines = []
        for event in events if self.shown else skip_failed_attempts(events):
            if not self.ended:
                self._take(event)
        return b"".join(self._lines)

    def _take(self, event: Event) -> None:
        if event.type in (job_events.RETRYING, job_events.STARTED) and self.shown:
            self._break_off(event.number)
        elif event.type == job_events.STARTED:
            self.queued_ms = orjson.loads(event.data).get("queued_ms")
        elif event.type in (job_events.CHUNK, job_events.USAGE):
            self.shown = True
            self._lines.append(self._render(event))
        elif event.type == JobState.COMPLETED:
            self._end()
        elif event.is_end:
            self._fail(event.number, *describe_job_failure(orjson.loads(event.data)))

    def _render(self, event: Event) -> bytes:
        """Return the bytes of a part of the answer."""
        number = None if event.type == job_events.USAGE else event.number
        return render_frame(event.data, number)

    def _break_off(self, number: int) -> None:
        """End this stream: the answer begins again, and sent chunks cannot be withdrawn."""
        where = job_urls(self.job_id)["self"]
        self._fail(
            number,
            502,
            "The worker of this stream was stopped or lost. The job runs again from the start: "
            f"GET {where} for its result, or {where}/events for its stream.",
            {"error_type": ErrorType.STREAM_INTERRUPTED.value},
        )

    def _fail(self, number: int, status: int, message: str, metadata: Json) -> None:
        """Send OpenRouter's mid-stream error: a chunk with `error` and finish reason `error`."""
        body = {
            "id": job_headers(self.job_id)["X-Generation-Id"],
            "object": operations.chunk_object(self.operation),
            "created": self.created,
            "model": self.model,
            "error": {
                "code": status,
                "message": message,
                "metadata": metadata | {"job_id": self.job_id},
            },
            "choices": [operations.empty_choice(self.operation, "error")],
        }
        self._lines.append(render_frame(orjson.dumps(body), number))
        self._end()

    def _end(self) -> None:
        self._lines.append(DONE)
        self.ended = True


async def chunk_response(
    request: Request,
    source: Source,
    stream: StreamRenderer,
    *,
    keep_alive: float,
    headers: Mapping[str, str],
    on_gone: Callable[[], Coroutine[Any, Any, None]],
    media_type: str = EVENT_STREAM,
) -> Response:
    """Return the stream, or a plain error when the job fails before its first chunk.

    An error within the first keep-alive interval has its own HTTP status. After that the headers
    are sent, and the error is a chunk. `on_gone` runs when the caller disconnects before the end.
    """
    feed = _Feed(source)
    first = b""
    async with _watch_connection(request) as gone:
        while not stream.shown and not stream.ended:
            events = await feed.next(keep_alive, gone)
            if events is None:
                break
            if _fails_at_once(events):
                return failed_response(request, stream.job_id, orjson.loads(events[-1].data))
            first += stream.render(events)
        if gone.done():
            await _finish(_close_stream(feed, stream, on_gone))
            return Response()  # nobody receives it
    body = _split_pieces(_yield_chunks(feed, stream, first, keep_alive, on_gone))
    headers = {**HEADERS, **headers, **job_headers(stream.job_id, stream.queued_ms)}
    return StreamingResponse(body, headers=headers, media_type=media_type)


@contextlib.asynccontextmanager
async def _watch_connection(request: Request) -> AsyncGenerator["asyncio.Task[None]"]:
    """Yield a task that ends when the caller disconnects."""
    gone = asyncio.create_task(wait_for_disconnect(request))
    try:
        yield gone
    finally:
        await end_tasks({gone})


async def wait_for_disconnect(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _fails_at_once(events: Sequence[Event]) -> bool:
    """Return whether the job has failed without a chunk."""
    is_failed = events[-1].is_end and events[-1].type != JobState.COMPLETED
    return is_failed and not _has_chunk(events)


def event_response(
    source: Source, stream: StreamRenderer, *, keep_alive: float, headers: Mapping[str, str]
) -> Response:
    """Return the stream of a job that goes on without its reader. It begins at once."""
    body = _split_pieces(_yield_chunks(_Feed(source), stream, b"", keep_alive, _ignore_gone))
    headers = {**HEADERS, **headers, **job_headers(stream.job_id)}
    return StreamingResponse(body, headers=headers, media_type=EVENT_STREAM)


async def _ignore_gone() -> None:
    """Do nothing when the reader has disconnected."""


async def _yield_chunks(
    feed: "_Feed",
    stream: StreamRenderer,
    first: bytes,
    keep_alive: float,
    on_gone: Callable[[], Coroutine[Any, Any, None]],
) -> AsyncGenerator[bytes]:
    try:
        yield first or stream.render(()) or stream.keep_alive
        while not stream.ended:
            events = await feed.next(keep_alive)
            yield stream.keep_alive if events is None else stream.render(events)
    finally:
        await _finish(_close_stream(feed, stream, on_gone))


async def _close_stream(
    feed: "_Feed", stream: StreamRenderer, on_gone: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    try:
        await feed.close()
    finally:
        if not stream.ended:
            await on_gone()


async def _finish(closing: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also when the caller disconnects and this task is cancelled."""
    task = asyncio.create_task(closing)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.shield(task)


def resume_point(request: Request, after: int | None) -> int:
    """Return the number of the last event that a reader has, by its header or parameter."""
    last = request.headers.get("last-event-id")
    if last is None:
        return after or 0
    if not last.strip().isdecimal():
        raise InvalidRequestError(
            "Last-Event-ID is the number of the last event received.", param="Last-Event-ID"
        )
    return int(last)


def log_response(source: Source, job_id: str, *, keep_alive: float) -> Response:
    """Return a job's event log, live to its end."""
    return StreamingResponse(
        _split_pieces(_yield_log(_Feed(source), keep_alive)),
        headers=HEADERS | job_headers(job_id),
        media_type=EVENT_STREAM,
    )


async def _yield_log(feed: "_Feed", keep_alive: float) -> AsyncGenerator[bytes]:
    try:
        while (events := await feed.next(keep_alive)) != []:
            if events is None:
                yield KEEP_ALIVE
                continue
            yield b"".join(
                render_frame(each.data, each.number, each.public_type) for each in events
            )
    finally:
        await _finish(feed.close())


async def _split_pieces(body: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """Yield a body in pieces that fit into the buffer of a connection."""
    async with contextlib.aclosing(body):
        async for piece in body:
            for start in range(0, len(piece), SLICE_BYTES):
                yield piece[start : start + SLICE_BYTES]


class _Feed:
    """A source that is read with a timeout, which does not cancel the pending read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pending: asyncio.Task[list[Event]] | None = None

    async def next(self, seconds: float, *until: "asyncio.Task[None]") -> list[Event] | None:
        """Return the next events, none after the last.

        Return None after `seconds` without any, or when a task of `until` ends.
        """
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._source, []))
        await asyncio.wait(
            {self._pending, *until}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not self._pending.done():
            return None
        events, self._pending = self._pending.result(), None
        return events

    async def close(self) -> None:
        if self._pending is not None:
            await end_tasks({self._pending})
        await self._source.aclose()


def skip_failed_attempts(events: Sequence[Event]) -> Sequence[Event]:
    """Return the events of the last attempt."""
    begins = [index for index, event in enumerate(events) if event.type == job_events.RETRYING]
    return events[begins[-1] + 1 :] if begins else events


def _has_chunk(events: Sequence[Event]) -> bool:
    return any(event.is_chunk for event in skip_failed_attempts(events))


def render_frame(data: bytes, number: int | None = None, type_: str | None = None) -> bytes:
    """Return one server-sent event."""
    id_ = b"" if number is None else b"id: %d\n" % number
    name = b"event: %s\n" % type_.encode() if type_ else b""
    return b"%s%sdata: %s\n\n" % (id_, name, data)
