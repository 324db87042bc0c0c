"""Connections to providers: the state of a request, and messages for failed connections."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
import structlog
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from workers.upstream.decompression import DecodingError

if TYPE_CHECKING:
    from aiohttp.connector import Connection


log = structlog.get_logger()

_owners: WeakKeyDictionary[ResponseHandler, object] = WeakKeyDictionary()
"""The last request on each connection."""

_exchange: ContextVar["Exchange | None"] = ContextVar("exchange", default=None)
_on_sent: ContextVar[Callable[[], None] | None] = ContextVar("on_sent", default=None)


class StaleConnectionError(aiohttp.ClientConnectionError):
    """A kept connection had bytes to read before the request was sent."""


class SecondAnswerError(aiohttp.ClientError):
    """Two answers came on a kept connection, and neither can be assigned to the request."""


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
def follow_exchange() -> Iterator[Exchange]:
    """Follow the request that is sent inside this block."""
    exchange = Exchange()
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


def _has_more(protocol: ResponseHandler) -> bool:
    """Return whether more bytes have come than the answer that was read.

    aiohttp checks this only when it takes a connection back, and would read bytes that come later
    as the answer to the next request. Its public `should_close` does not distinguish such bytes
    from a `connection: close`, hence the private attributes. aiohttp may check by itself one day:
    then `tests/security/test_second_answers.py` fails.
    """
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
                raise StaleConnectionError("the connection had an answer without a request")
            if (exchange := _exchange.get()) is not None:
                exchange.begin(protocol)
        response = await super().send(conn)
        if (report := _on_sent.get()) is not None:
            report()
        return response


@contextlib.contextmanager
def report_sent(on_sent: Callable[[], None]) -> Iterator[None]:
    """Call `on_sent` when a request that is sent inside this block has left."""
    token = _on_sent.set(on_sent)
    try:
        yield
    finally:
        _on_sent.reset(token)


NEVER_LEFT = (
    aiohttp.ClientConnectorError,  # refused, no route, DNS, TLS handshake
    aiohttp.ConnectionTimeoutError,
    StaleConnectionError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
"""Errors of requests that were never sent."""

HEADER_LIMIT = 64 * 1024
"""Bytes that one line of an answer's header may have."""


def describe_failure(error: Exception, slug: str, *, sent: bool) -> tuple[bool, str]:
    """Return whether the request was never sent, and a sentence with the reason.

    `sent` says that bytes of the request were written.
    """
    if not sent or isinstance(error, NEVER_LEFT):
        return True, f"{slug} could not be reached: {_why_unreached(error)}."
    return False, f"{slug} {_why_broken(error)}."


def _why_unreached(cause: BaseException) -> str:
    if isinstance(cause, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "its address is not valid, see `base_url`"
    if isinstance(cause, StaleConnectionError):
        return "its kept connection had an answer without a request, and was closed"
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return "it did not accept the connection in time"
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {cause.host}:{cause.port} is not valid"
    if isinstance(cause, aiohttp.ClientConnectorError):
        host = f"{cause.host}:{cause.port}"
        reason = cause.os_error
        if isinstance(cause, aiohttp.ClientConnectorDNSError) or isinstance(
            reason, socket.gaierror
        ):
            return f"the name {cause.host} could not be resolved"
        if isinstance(reason, ssl.SSLError):
            return f"the TLS handshake with {host} failed"
        return f"{host}: {_system_message(reason)}"
    return "the connection failed"


def _why_broken(cause: BaseException) -> str:
    if _is_too_long_a_header(cause):
        return f"sent a header line of more than {HEADER_LIMIT} bytes"
    if isinstance(cause, SecondAnswerError):
        return "sent two answers on one connection, so neither can be assigned to this request"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "dropped the connection before it answered"
    if isinstance(cause, aiohttp.ClientPayloadError):
        return "dropped the connection in the middle of its answer"
    if isinstance(cause, DecodingError):
        return "sent an answer that is not compressed as its `content-encoding` says"
    if isinstance(cause, aiohttp.ClientResponseError | HttpProcessingError):
        return "sent an answer that is not valid HTTP"
    if isinstance(cause, OSError):
        return f"dropped the connection: {_system_message(cause)}"
    return "dropped the connection"


def _is_too_long_a_header(cause: BaseException) -> bool:
    found: BaseException | None = cause
    while found is not None:
        if isinstance(found, LineTooLong):
            return True
        found = found.__cause__ or found.__context__
    return False


def _system_message(error: OSError) -> str:
    """Return the operating system's message of an error, without addresses."""
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    return (error.strerror or "the connection failed").partition(" [")[0]
