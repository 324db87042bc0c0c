"""Know whether the head of a request was written to its connection.

Until then nothing was sent: whatever failed, the provider cannot bill it. aiohttp writes the head
in `ClientRequest.send`, after it has connected and before it waits for an answer.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
import structlog
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.connector import Connection

log = structlog.get_logger()

_owners: WeakKeyDictionary[ResponseHandler, object] = WeakKeyDictionary()
"""The request whose answer is read from each connection, or was last."""

_exchange: ContextVar["Exchange | None"] = ContextVar("exchange", default=None)
_on_sent: ContextVar[Callable[[], None] | None] = ContextVar("on_sent", default=None)


class StaleConnectionError(aiohttp.ClientConnectionError):
    """A kept connection had more to read before anything was sent on it."""


class SecondAnswerError(aiohttp.ClientError):
    """Two answers came on a kept connection: which is whose cannot be told."""


class Exchange:
    """One request and its answer on a connection that others may have used before."""

    def __init__(self) -> None:
        self._protocol: ResponseHandler | None = None
        self._was_kept = False

    def begin(self, protocol: ResponseHandler) -> None:
        """Note the connection on which the request leaves."""
        self._protocol = protocol
        self._was_kept = protocol in _owners
        _owners[protocol] = self

    def check(self) -> None:
        """Close the connection where another answer has come.

        Raises SecondAnswerError where the one that was read may have been for an earlier request.
        """
        protocol = self._protocol
        if protocol is None or _owners.get(protocol) is not self or not _has_more(protocol):
            return
        protocol.close()
        log.warning("upstream.second_answer", kept=self._was_kept)
        if self._was_kept:
            raise SecondAnswerError


@contextlib.contextmanager
def exchanging() -> Iterator[Exchange]:
    """Follow the request that is sent inside this block."""
    exchange = Exchange()
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


def _has_more(protocol: ResponseHandler) -> bool:
    """Tell whether more has come than the answer that was read. Nothing public says so."""
    if protocol._buffer:  # noqa: SLF001
        return True
    payload = protocol._payload  # noqa: SLF001
    is_read = payload is None or payload.is_eof()
    return bool(is_read and protocol._tail)  # noqa: SLF001


class ReportingRequest(aiohttp.ClientRequest):
    """A request that reports when its head has been written."""

    async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if protocol is not None:
            if _has_more(protocol):
                log.warning("upstream.second_answer", url=str(self.url.origin()))
                conn.close()
                raise StaleConnectionError("the connection had an answer that nobody asked for")
            if (exchange := _exchange.get()) is not None:
                exchange.begin(protocol)
        response = await super().send(conn)
        if (report := _on_sent.get()) is not None:
            report()
        return response


@contextlib.contextmanager
def reporting(on_sent: Callable[[], None]) -> Iterator[None]:
    """Call `on_sent` when a request that is sent inside this block has left."""
    token = _on_sent.set(on_sent)
    try:
        yield
    finally:
        _on_sent.reset(token)
