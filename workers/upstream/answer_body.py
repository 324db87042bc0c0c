"""Reading of the body of a provider's answer, its end, and its deadlines."""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from broker.completion import Chunk
from broker.values import immutable
from workers.adapters.base import BackgroundReader, Stage, StreamReader
from workers.upstream.assembly import Assembly
from workers.upstream.connection import report_sent
from workers.upstream.response import PIECE_BYTES, ProviderResponse

_DECODER = json.JSONDecoder(strict=False)


def find_usage(body: bytes, name: str) -> Any:
    """Return the last object in the field `name` of a body, which may be invalid JSON, or None."""
    text = body.decode("utf-8", "replace")
    for found in reversed(list(re.finditer(rf'"{re.escape(name)}"\s*:\s*(?={{)', text))):
        try:
            return _DECODER.raw_decode(text, found.end())[0]
        except (ValueError, RecursionError):
            continue
    return None


GATHER_SECONDS = 0.005
"""Seconds to wait for further pieces of a fast stream. Its first piece is read at once."""

LATE_USAGE_SECONDS = 3.0
"""Seconds to wait for the usage after the finish reason."""

LAST_EVENT_SECONDS = 0.5
"""Seconds to wait for the protocol's end after finish reason and usage."""

CONNECTION_END_SECONDS = 0.05
"""Seconds to wait for the connection's proper end, so that it can be used again."""

_WAITS = {
    Stage.FINISHED: LATE_USAGE_SECONDS,
    Stage.COUNTED: LAST_EVENT_SECONDS,
    Stage.OVER: CONNECTION_END_SECONDS,
}
_EVENT_STREAMS = frozenset({"text/event-stream", "application/vnd.amazon.eventstream"})
_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")

CONNECTION_ERRORS = (TimeoutError, aiohttp.ClientError, OSError)
"""Exceptions raised where the connection ends before its answer."""


class AnswerTooLargeError(Exception):
    """The provider sent more bytes than the limit."""


@immutable
class Deadlines:
    """Timeouts in seconds: for the first byte, between bytes, and in total."""

    first_byte: float
    idle: float
    total: float


class Stopwatch:
    """Timer of one call, which ends the call when a deadline passes."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._began = time.monotonic()
        self._timeout = asyncio.timeout(min(deadlines.first_byte, deadlines.total))
        self.first_token_ms: int | None = None
        self.sent = False  # from then on the provider may bill
        self.answered = False  # the head of the answer has come

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raise TimeoutError inside the block when a deadline passes."""
        with report_sent(self._note_sent):
            async with self._timeout:
                yield

    def note_bytes(self, *, is_background: bool = False) -> None:
        """Note that bytes arrived. The next ones are due within the idle timeout.

        An answer in the background is silent for as long as it takes.
        """
        self.answered = True
        idle = self._left() if is_background else self._deadlines.idle
        loop = asyncio.get_running_loop()
        self._timeout.reschedule(loop.time() + min(idle, self._left()))

    def find_idle_end(self) -> float:
        """Return the loop's time at which a connection counts as lost if no bytes arrive."""
        return asyncio.get_running_loop().time() + self._deadlines.idle

    def end_within(self, seconds: float) -> float:
        """Limit the wait after a complete answer. Return its end as the loop's time."""
        until = asyncio.get_running_loop().time() + min(seconds, max(self._left(), 0.0))
        self._timeout.reschedule(until + 1.0)
        return until

    def note_continued(self) -> None:
        """Note that an earlier attempt has sent the request, and that its answer is awaited."""
        self.sent = True
        self.note_bytes(is_background=True)

    def note_content(self) -> None:
        """Note that a chunk with content arrived."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()

    def elapsed_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)

    def _note_sent(self) -> None:
        self.sent = True

    def _left(self) -> float:
        return self._deadlines.total - (time.monotonic() - self._began)


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether the content type is that of a stream."""
    return _media_type(headers) in _EVENT_STREAMS


def looks_like_events(body: bytes) -> bool:
    """Return whether a body is server-sent events, independent of its content type."""
    return body[:64].lstrip().startswith(_EVENT_FIELDS)


async def read_body(
    response: ProviderResponse, watch: Stopwatch, most: int, *, cut: bool = False
) -> bytes:
    """Read a body of at most `most` bytes; a longer one is cut or refused.

    A complete JSON document is accepted, even where the connection breaks off after it or stays
    open. Whitespace after it does not extend the time for the end of the connection.
    """
    body = bytearray()
    may_end_early = is_json(response.headers) and "content-length" not in response.headers
    pieces = response.pieces()
    until: float | None = None
    try:
        while (piece := await _next(pieces, until)) is not None:
            is_padding = until is not None and not piece.strip()
            if not is_padding:
                watch.note_bytes()
            body += piece
            if len(body) > most:
                if cut:
                    break
                raise AnswerTooLargeError(f"more than {most} bytes")
            if is_padding:
                continue
            is_whole = may_end_early and len(piece) < PIECE_BYTES and _is_document(body)
            until = watch.end_within(LAST_EVENT_SECONDS) if is_whole else None
    except CONNECTION_ERRORS:
        if not (may_end_early and _is_document(body)):
            raise
    return bytes(body[:most])


def is_in_background(reader: object) -> bool:
    """Return whether the provider makes the answer of a reader in the background."""
    return isinstance(reader, BackgroundReader) and reader.background_id is not None


async def read_stream(
    response: ProviderResponse,
    reader: StreamReader,
    watch: Stopwatch,
    most: int,
    assembly: Assembly,
    on_background: Callable[[], Awaitable[None]],
) -> None:
    """Read a streamed answer of at most `most` bytes into `assembly`.

    Pieces that follow each other fast are read together. `on_background` is awaited after each
    piece of an answer in the background.
    """
    pieces, pace = response.pieces(), _Pace()
    size, stage = 0, Stage.OPEN
    until: float | None = None
    try:
        while (piece := await _next(pieces, until)) is not None:
            size += len(piece)
            if size > most and stage is Stage.OPEN:
                raise AnswerTooLargeError(f"more than {most} bytes")
            chunks = reader.feed(piece)
            _take(chunks, watch, assembly)
            before, stage = stage, reader.stage
            if stage is Stage.OPEN:
                is_background = is_in_background(reader)
                watch.note_bytes(is_background=is_background)
                until = watch.find_idle_end() if is_background else None
                if is_background:
                    await on_background()
                await pace.gather()
            elif chunks or stage is not before:
                until = watch.end_within(_WAITS[stage])
    except CONNECTION_ERRORS:
        if stage is Stage.OPEN:
            raise
    finally:
        assembly.count(reader.usage)
    _take(reader.close(), watch, assembly)


class _Pace:
    """The pace of a stream's pieces. Two within `GATHER_SECONDS` begin a burst.

    Each piece costs a turn of the loop, whatever its size.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = -math.inf

    async def gather(self) -> None:
        """Call it after each piece. In a burst, wait until more has come."""
        before, self._last = self._last, self._loop.time()
        if self._last - before < GATHER_SECONDS:
            await asyncio.sleep(GATHER_SECONDS)
            self._last = self._loop.time()


async def _next(pieces: AsyncIterator[bytes], until: float | None) -> bytes | None:
    """Return the next bytes, None at their end. Raises TimeoutError at the loop's time `until`."""
    if until is None:
        return await anext(pieces, None)
    async with asyncio.timeout_at(until):
        return await anext(pieces, None)


def _take(chunks: list[Chunk], watch: Stopwatch, assembly: Assembly) -> None:
    for chunk in chunks:
        if assembly.add(chunk):
            watch.note_content()


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(headers: Mapping[str, str]) -> bool:
    """Return whether an answer is JSON, by its content type."""
    media_type = _media_type(headers)
    return media_type.endswith(("/json", "+json"))


def _is_document(body: bytearray) -> bool:
    """Return whether the bytes so far are a whole JSON object."""
    if not body.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False
