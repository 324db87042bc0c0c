"""Finds out how a streamed answer is framed: server-sent events, or JSON objects in an array.

Google streams a JSON array where `alt=sse` is not asked for, and any provider may answer a stream
request with one JSON document: an error, or an answer of a vendor that does not stream.
"""

import re

from workers.adapters.base import CutOffError
from workers.adapters.sse import BOM, ServerSentEvent, SseDecoder

_MARK = re.compile(rb'[{}"]')
_MARK_IN_STRING = re.compile(rb'["\\]')


class JsonDocuments:
    """Cuts a JSON array, or objects one after the other, into the objects.

    Only braces and strings are understood, so what stands between the objects is not checked.
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
        """Take one mark in; tell whether it closed an object."""
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
    """Gives the events of a stream, whichever way it is framed: its first byte tells."""

    __slots__ = ("_decoder", "_start")

    def __init__(self) -> None:
        self._decoder: SseDecoder | JsonDocuments | None = None
        self._start = b""  # bytes that do not tell yet

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
