"""Base class of stream readers, for server-sent events and for JSON objects in an array."""

import re
from abc import ABC, abstractmethod

from broker.completion import Chunk, Usage
from workers.adapters.base import (
    CutOffError,
    MalformedAnswerError,
    ProviderFailureError,
    Stage,
)
from workers.adapters.sse import BOM, ServerSentEvent, SplitPairs, SseDecoder

_MARK = re.compile(rb'[{}"]')
_MARK_IN_STRING = re.compile(rb'["\\]')


class JsonDocuments:
    """Splitter of a JSON array, or of objects in a row, into the objects.

    It looks at braces and strings only and does not check the text between objects.
    """

    __slots__ = ("_depth", "_escaped", "_held", "_in_string")

    def __init__(self) -> None:
        self._held = bytearray()  # the open object so far
        self._depth = 0
        self._in_string = False
        self._escaped = False  # the last byte was a backslash in a string

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the objects completed by `data`."""
        events: list[ServerSentEvent] = []
        start = at = 0
        while at < len(data):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            mark = (_MARK_IN_STRING if self._in_string else _MARK).search(data, at)
            if mark is None:
                break
            at = mark.end()
            if mark[0] == b"{" and not self._depth:
                start = mark.start()
            if self._step(mark[0]):
                events.append(ServerSentEvent(bytes(self._held + data[start:at]), is_document=True))
                self._held.clear()
        if self._depth:
            self._held += data[start:]
        return events

    def close(self) -> list[ServerSentEvent]:
        """Return nothing. Raises CutOffError where an object was still open."""
        if self._depth:
            raise CutOffError("the stream ended within a JSON object")
        return []

    def _step(self, mark: bytes) -> bool:
        """Process one mark. Return whether it closed an object."""
        if mark == b"\\":
            self._escaped = True
        elif mark == b'"':
            self._in_string = not self._in_string
        elif mark == b"{":
            self._depth += 1
        elif self._depth:
            self._depth -= 1
            return self._depth == 0
        return False


class Framing:
    """Splitter of a stream into events. The first byte decides between the two framings."""

    __slots__ = ("_decoder", "_start")

    def __init__(self) -> None:
        self._decoder: SseDecoder | JsonDocuments | None = None
        self._start = b""  # bytes that do not decide it yet

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events completed by `data`."""
        if self._decoder is None:
            data = (self._start + data).removeprefix(BOM).lstrip()
            if not data or BOM.startswith(data):
                self._start = data
                return []
            self._decoder = JsonDocuments() if data[:1] in (b"{", b"[") else SseDecoder()
        return self._decoder.feed(data)

    def close(self) -> list[ServerSentEvent]:
        """Return the event that was still open when the bytes ended, if there was one."""
        return self._decoder.close() if self._decoder is not None else []


class EventReader(ABC):
    """A `StreamReader` of a wire that consists of events.

    Chunks completed before a failure are returned first. The next call raises the failure, so that
    the caller gets the same chunks however the bytes are cut. Events that cannot be read are
    ignored once the answer is finished.
    """

    __slots__ = ("_failure", "_framing", "_pairs")

    def __init__(self, framing: Framing | None = None) -> None:
        self._framing = framing or Framing()
        self._pairs = SplitPairs()
        self._failure: Exception | None = None

    @property
    @abstractmethod
    def stage(self) -> Stage:
        """Return the stage of the answer. After OPEN, the answer is complete."""

    @property
    @abstractmethod
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks completed by `data`."""
        if self._failure is not None:
            raise self._failure
        if self.stage is Stage.OVER:
            return []
        try:
            events = self._framing.feed(data)
        except MalformedAnswerError:
            if self.stage is Stage.OPEN:
                raise
            return []
        return self._read(self._pairs.feed(events))

    def close(self) -> list[Chunk]:
        """Return the last chunks. Raises CutOffError where no finish reason came."""
        chunks = [] if self._failure is not None else self._read_rest()
        if self._failure is not None:
            raise self._failure
        self._end(chunks)
        return chunks

    @abstractmethod
    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        """Append an event's chunks. Raises MalformedAnswerError and ProviderFailureError."""

    @abstractmethod
    def _end(self, chunks: list[Chunk]) -> None:
        """Append the last chunks when the bytes end. Raises CutOffError where they end too soon."""

    def _read(self, events: list[ServerSentEvent]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            try:
                self._take(event, chunks)
            except (MalformedAnswerError, ProviderFailureError) as failure:
                if self.stage is not Stage.OPEN and isinstance(failure, MalformedAnswerError):
                    continue
                self._failure = failure
                if not chunks:
                    raise
                break
        return chunks

    def _read_rest(self) -> list[Chunk]:
        """Read the event that is still open when the bytes end. Ignore one that was cut."""
        try:
            rest = self._framing.close()
            chunks = self._read([*self._pairs.feed(rest), *self._pairs.close()])
        except MalformedAnswerError as error:
            if self.stage is not Stage.OPEN:
                return []
            raise CutOffError(str(error)) from None
        if isinstance(self._failure, MalformedAnswerError):
            self._failure = CutOffError(str(self._failure))
        return chunks
