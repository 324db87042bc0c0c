"""Bounds on the size and time of an answer, and messages for failed connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import httpx


class TooLargeError(Exception):
    """The answer is longer than the limit. The bytes before the limit are valid."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of an answer: its bytes, and the seconds for all of it."""

    max_bytes: int
    seconds: float


@asynccontextmanager
async def enforce_deadline(deadline: float, bounds: Bounds) -> AsyncIterator[None]:
    """Raise httpx.TransportError for failures inside the block, without addresses in its text."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole answer within {bounds.seconds:g} s") from None
    except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
        raise _without_address(error) from error


def _without_address(error: Exception) -> httpx.TransportError:
    """Return an error with the kind of failure. aiohttp's own texts have addresses."""
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
    """A body that raises TooLargeError after the allowed bytes where it has more."""

    def __init__(self, stream: httpx.AsyncByteStream, bounds: Bounds, deadline: float) -> None:
        self._stream = stream
        self._bounds = bounds
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._bounds.max_bytes
        pieces = aiter(self._stream)
        while True:
            async with enforce_deadline(self._deadline, self._bounds):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece[:left]
            left -= len(piece)
            if left < 0:
                raise TooLargeError(f"more than {self._bounds.max_bytes} bytes")

    async def aclose(self) -> None:
        await self._stream.aclose()
