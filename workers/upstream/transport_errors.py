"""Says in plain words why a call's connection failed, and whether the request can have arrived.

The words of the HTTP client are for its own developers: they name its classes and its limits.
"""

import socket
import ssl

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from workers.upstream.connection import SecondAnswerError, StaleConnectionError

NEVER_LEFT = (
    aiohttp.ClientConnectorError,  # refused, no route, DNS, TLS handshake
    aiohttp.ConnectionTimeoutError,
    StaleConnectionError,
    aiohttp.InvalidURL,
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
)
"""Errors of requests that were never sent."""

HEADER_LIMIT = 64 * 1024
"""Bytes that one line of an answer's header may have."""


def describe(error: Exception, slug: str, *, sent: bool) -> tuple[bool, str]:
    """Return whether the request never left, and a sentence that says what happened.

    The transport maps several errors to one (a dropped connection and a failed connect both become
    ConnectTimeout), so the cause decides; `sent` says that bytes of the request were written.
    """
    cause: BaseException = error
    if isinstance(error, httpx.HTTPError) and error.__cause__ is not None:
        cause = error.__cause__
    if not sent or isinstance(cause, NEVER_LEFT):
        return True, f"{slug} could not be reached: {_why_unreached(cause)}."
    return False, f"{slug} {_why_broken(cause)}."


def _why_unreached(cause: BaseException) -> str:
    if isinstance(cause, aiohttp.InvalidURL | httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "its address is not valid, see `base_url`"
    if isinstance(cause, StaleConnectionError):
        return "its kept connection had an answer that nobody asked for, and was closed"
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
        return f"{host}: {_system_words(reason)}"
    return "the connection failed"


def _why_broken(cause: BaseException) -> str:
    if _is_too_long_a_header(cause):
        return f"sent a header line of more than {HEADER_LIMIT} bytes"
    if isinstance(cause, SecondAnswerError):
        return "sent two answers on one connection: which is to this request cannot be told"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "dropped the connection before it answered"
    if isinstance(cause, aiohttp.ClientPayloadError):
        return "dropped the connection in the middle of its answer"
    if isinstance(cause, httpx.DecodingError):
        return "sent an answer that is not compressed as its `content-encoding` says"
    if isinstance(cause, aiohttp.ClientResponseError | HttpProcessingError):
        return "sent an answer that is not valid HTTP"
    if isinstance(cause, OSError):
        return f"dropped the connection: {_system_words(cause)}"
    return "dropped the connection"


def _is_too_long_a_header(cause: BaseException) -> bool:
    found: BaseException | None = cause
    while found is not None:
        if isinstance(found, LineTooLong):
            return True
        found = found.__cause__ or found.__context__
    return False


def _system_words(error: OSError) -> str:
    """Return the operating system's words for an error, which have no address of ours."""
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    return (error.strerror or "the connection failed").partition(" [")[0]
