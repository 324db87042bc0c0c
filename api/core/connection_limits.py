"""Limit the time and the bytes of a connection. uvicorn limits only the time between requests.

An answer may take as long as it likes: while one is open and its reader reads, nothing here ends
it.
"""

import asyncio
import resource
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from broker.completion import ErrorType
from broker.jobs.error_envelope import envelope

HEADER_SECONDS = 30.0
WRITE_SECONDS = 60.0
"""Seconds after which a reader that takes nothing is disconnected."""

HEADER_BYTES = 64 * 1024
SPARE_FILES = 128
"""Open files that are left for other things than callers' connections."""

MOST_CONNECTIONS = 10_000
TOO_LARGE = 431


def most_connections() -> int:
    """Return how many connections may be open, fewer where the system allows fewer files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(min(MOST_CONNECTIONS, files - SPARE_FILES), 1)


class HeaderTooLargeError(Exception):
    """The head of a request is larger than it may be."""


class PromptProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes connections that keep the server waiting or ask too much."""

    most: ClassVar[int] = most_connections()
    _idle: ClassVar[dict["PromptProtocol", None]] = {}  # no request is being answered; oldest first

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _has_head = False  # the head of the latest request is complete
    _is_reading = False  # the parser got further than the middle of a header

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()
        if len(self.connections) > self.most:
            next(iter(self._idle)).make_room()  # at least this one is there

    def make_room(self) -> None:
        """End at once a connection on which nothing is answered."""
        self._stop_waiting()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._is_reading = False
        super().data_received(data)
        if self._is_reading or self.transport.is_closing():
            return
        # the parser collects a header or trailer until it is complete
        self._head_bytes += len(data)
        if self._head_bytes > HEADER_BYTES:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._has_head = False
        self._read_on()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._has_head = True
        self._read_on()
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._read_on()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._read_on()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP, or whose head is too large."""
        if self._head_bytes <= HEADER_BYTES:
            super().send_400_response(msg)
            return
        if self._has_head:  # it is answered already
            self.transport.abort()
            return
        message = f"The request line and headers are larger than {HEADER_BYTES} bytes."
        metadata: dict[str, Any] = {"error_type": ErrorType.INVALID_REQUEST.value}
        body = orjson.dumps(envelope(TOO_LARGE, message, metadata))
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[TOO_LARGE] + head % len(body) + body)
        self.transport.close()

    def _read_on(self) -> None:
        self._is_reading, self._head_bytes = True, 0

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEADER_BYTES:
            raise HeaderTooLargeError  # the parser ends with an error of its own

    def _await_headers(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(HEADER_SECONDS, self._close_idle)
        self._idle[self] = None

    def _stop_waiting(self) -> None:
        self._idle.pop(self, None)
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()  # once what waits has been read
            self._watch_reader()

    def _watch_reader(self) -> None:
        """Cut the connection off unless some of what waits is read in time."""
        self._stop_watching()
        if not (waiting := self.transport.get_write_buffer_size()):
            return

        def look() -> None:
            if self.transport.get_write_buffer_size() >= waiting:
                self.transport.abort()
            else:
                self._watch_reader()

        self._unread = self.loop.call_later(WRITE_SECONDS, look)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
