"""Bounds on an answer's size and time, and messages for connections that failed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import httpx


class TooLargeError(Exception):
    """The answer is longer than its reader will take; what was read until here is good."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of an answer is read, and how long all of it may take."""

    max_bytes: int
    seconds: float


@asynccontextmanager
async def until(deadline: float, bounds: Bounds) -> AsyncIterator[None]:
    """Raise httpx.TransportError for what goes wrong inside, without saying where it went."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole answer within {bounds.seconds:g} s") from None
    except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
        raise _without_address(error) from error


def _without_address(error: Exception) -> httpx.TransportError:
    """Return an error that tells the kind of failure; aiohttp's own texts hold addresses."""
    cause = error.__cause__ or error
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return httpx.ConnectError("the host's certificate is not valid for its name")
    if isinstance(cause, aiohttp.ClientSSLError):
        return httpx.ConnectError("no TLS connection could be made")
    if isinstance(cause, aiohttp.ClientConnectorError):
        return httpx.ConnectError("no connection could be made")
    if isinstance(error, httpx.ConnectError):
        return httpx.ConnectError(str(error))  # ours: the name does not resolve
    return httpx.ReadError("the connection was dropped, or it was not HTTP")


class BoundedStream(httpx.AsyncByteStream):
    """A body that ends with TooLargeError where it grows too long, after what was allowed."""

    def __init__(self, stream: httpx.AsyncByteStream, bounds: Bounds, deadline: float) -> None:
        self._stream = stream
        self._bounds = bounds
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._bounds.max_bytes
        pieces = aiter(self._stream)
        while True:
            async with until(self._deadline, self._bounds):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece[:left]
            left -= len(piece)
            if left < 0:
                raise TooLargeError(f"more than {self._bounds.max_bytes} bytes")

    async def aclose(self) -> None:
        await self._stream.aclose()
