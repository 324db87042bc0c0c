"""One call to a provider over one connection or several: an answer in the background goes on."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

import aiohttp
import structlog

from broker.completion import (
    AttemptAnswer,
    BackgroundAnswer,
    Chunk,
    Completion,
    CompletionRequest,
    Document,
    Failure,
    Usage,
)
from workers.adapters.base import (
    Adapter,
    BackgroundReader,
    CutOffError,
    DocumentReader,
    HttpRequest,
    MalformedAnswerError,
    StreamReader,
    Upstream,
)
from workers.operations.base import OperationAdapter
from workers.upstream.answer_body import (
    AnswerTooLargeError,
    Stopwatch,
    find_usage,
    is_event_stream,
    is_in_background,
    is_json,
    looks_like_events,
    read_body,
    read_stream,
)
from workers.upstream.assembly import Assembly
from workers.upstream.handover import NOTHING, Handover
from workers.upstream.response import ProviderResponse

MAX_ERROR_BYTES = 64 * 1024
CANCEL_SECONDS = 3.0
"""Seconds for the request that ends an answer in the background which nobody wants any more."""

LONGEST_PAUSE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2

SHAPE_ERRORS = (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError),
)
"""Exceptions that an adapter raises for an unforeseen shape."""

LOST = (aiohttp.ClientError, OSError, CutOffError)
"""Exceptions raised where a connection ends before its answer."""

_OK = 200
AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses of a continuation that may work a little later."""

log = structlog.get_logger()

Send = Callable[[HttpRequest], AbstractAsyncContextManager[ProviderResponse]]


class UnreadableError(Exception):
    """An answer that cannot be used. Its cause has the reason."""

    def __init__(self, usage: Usage | None) -> None:
        super().__init__()
        self.usage = usage


@dataclass(slots=True)
class ProviderCall:
    """One call, whose answer also grows in `assembly` if it is streamed."""

    send: Send
    adapter: Adapter | OperationAdapter
    request: CompletionRequest
    upstream: Upstream
    watch: Stopwatch
    max_bytes: int
    on_headers: Callable[[Mapping[str, str]], None]
    assembly: Assembly
    handover: Handover = NOTHING
    reader: StreamReader | None = None  # of the stream, once it has begun
    stored: str | None = None  # id of the answer in the background that the handover has

    async def run(self, built: HttpRequest) -> AttemptAnswer:
        """Send the request and return the answer.

        Where the provider makes it in the background, a lost connection is replaced by another one,
        and a call that is stopped is cancelled at the provider, unless the next attempt continues
        it. Raises aiohttp.ClientError,
        OSError, CutOffError, ProviderFailureError and UnreadableError.
        """
        try:
            try:
                if self.handover.received is not None:
                    return await self._fetch_received(self.handover.received)
                return await self._exchange(built)
            except LOST as error:
                return await self._continue(error)
        except asyncio.CancelledError:
            if not self.handover.goes_on():
                await self._cancel()
            raise

    async def _fetch_received(self, answer: BackgroundAnswer) -> AttemptAnswer:
        """Fetch the answer that the attempt before has begun, from its first event.

        Raises CutOffError if this wire has no such answers, or the provider has lost it.
        """
        self.watch.note_continued()
        lost = CutOffError("the answer that it made in the background cannot be fetched")
        if not isinstance(self.adapter, Adapter):
            raise lost
        reader = self.adapter.create_stream_reader(self.request)
        if isinstance(reader, BackgroundReader):
            reader.adopt(answer.id)
            self.reader, self.stored = reader, answer.id
        return await self._continue(lost)

    async def _exchange(self, built: HttpRequest) -> AttemptAnswer:
        async with self.send(built) as response:
            self.watch.note_bytes(is_background=is_in_background(self.reader))
            if not response.is_success:
                body = await read_body(response, self.watch, MAX_ERROR_BYTES, cut=True)
                return self.adapter.read_error(response.status, response.headers, body)
            self.on_headers(response.headers)
            return await self._read(response)

    async def _continue(self, lost: Exception) -> AttemptAnswer:
        """Request the rest of an answer in the background until it has come.

        Raises the loss of the connection if there is no such answer, or the provider has lost it.
        """
        adapter, reader, slug = self.adapter, self.reader, self.upstream.slug
        if not isinstance(adapter, Adapter) or not isinstance(reader, BackgroundReader):
            raise lost
        pause = FIRST_PAUSE_SECONDS
        while reader.background_id is not None:
            log.info("upstream.continued", provider=slug, id=reader.background_id)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            reader.restart()
            try:
                answer = await self._exchange(adapter.build_continuation(reader, self.upstream))
            except LOST as error:
                log.info("upstream.lost_again", provider=slug, error=repr(error)[:500])
                continue
            if not isinstance(answer, Failure):
                return answer
            if answer.http_status not in AGAIN:
                log.info("upstream.not_continued", provider=slug, error=answer.message)
                return await self._poll(adapter, reader, lost)
        raise lost

    async def _poll(
        self, adapter: Adapter, reader: BackgroundReader, lost: Exception
    ) -> Completion:
        """Fetch an answer in the background once it is whole.

        OpenAI continues a stream for five minutes only. Raises the loss of the connection if the
        provider does not know the answer.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            built = adapter.build_continuation(reader, self.upstream, stream=False)
            status, body = await self._fetch(built)
            if status is not None and status not in AGAIN:
                if status != _OK:
                    raise lost
                if (chunks := self._read_whole(reader, body)) is not None:
                    for chunk in chunks:
                        self.assembly.add(chunk)
                    return self.assembly.completion()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _store_background(self) -> None:
        """Store the answer in the background as soon as its id is known."""
        reader = self.reader
        known = reader.background_id if isinstance(reader, BackgroundReader) else None
        if known is not None and known != self.stored:
            self.stored = known
            await self.handover.store(BackgroundAnswer(known))

    async def _fetch(self, built: HttpRequest) -> tuple[int | None, bytes]:
        """Return status and body; no status where the connection is lost."""
        try:
            async with self.send(built) as response:
                return response.status, await read_body(response, self.watch, self.max_bytes)
        except LOST:
            return None, b""
        except AnswerTooLargeError as error:
            raise UnreadableError(self.assembly.usage) from error
        finally:
            self.watch.note_bytes(is_background=True)

    def _read_whole(self, reader: BackgroundReader, body: bytes) -> list[Chunk] | None:
        try:
            return reader.read_whole(body)
        except (MalformedAnswerError, *SHAPE_ERRORS) as error:
            raise UnreadableError(self.assembly.usage) from error

    async def _cancel(self) -> None:
        """Request the end of an answer in the background, for which nobody waits."""
        adapter, reader, slug = self.adapter, self.reader, self.upstream.slug
        if not isinstance(adapter, Adapter) or not isinstance(reader, BackgroundReader):
            return
        if reader.background_id is None:
            return
        built = adapter.build_cancellation(reader, self.upstream)
        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(CANCEL_SECONDS), self.send(built) as response:
                log.info("upstream.cancelled", provider=slug, status=response.status)

    async def _read(self, response: ProviderResponse) -> Completion | Document:
        """Read a 2xx answer in its form, which may differ from the requested one.

        Raises UnreadableError for an answer that cannot be used.
        """
        adapter, body = self.adapter, b""
        try:
            if self.reader or self._is_streamed(response):
                self.reader = self.reader or adapter.create_stream_reader(self.request)
                await read_stream(
                    *(response, self.reader, self.watch, self.max_bytes, self.assembly),
                    on_background=self._store_background,
                )
                return self._finish()
            body = await read_body(response, self.watch, self.max_bytes)
            if isinstance(adapter, Adapter) and looks_like_events(body):
                return self._replay(body)
            return adapter.read_response(body, self.request)
        except CutOffError:
            raise
        except (MalformedAnswerError, AnswerTooLargeError, *SHAPE_ERRORS) as error:
            stated = adapter.read_usage(find_usage(body, adapter.usage_name))
            raise UnreadableError(stated or self.assembly.completion().usage) from error

    def _is_streamed(self, response: ProviderResponse) -> bool:
        """Return whether an answer is read as a stream. Some vendors stream no documents."""
        if isinstance(self.adapter, OperationAdapter) and is_json(response.headers):
            return False
        return self.request.stream or is_event_stream(response.headers)

    def _finish(self) -> Completion | Document:
        """Return the answer of a stream that has been read."""
        if isinstance(self.reader, DocumentReader):
            return self.reader.document()
        return self.assembly.completion()

    def _replay(self, body: bytes) -> Completion:
        """Read events in a body with another content type."""
        reader = self.adapter.create_stream_reader(self.request)
        for chunk in (*reader.feed(body), *reader.close()):
            self.assembly.add(chunk)
        return self.assembly.completion()
