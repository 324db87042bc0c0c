"""Decompression of providers' answers piece by piece, with a bound on the size."""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence

import aiohttp
import httpx

PIECE_BYTES = 64 * 1024
MOST_CODINGS = 2
"""The number of compressions that an answer may have; a proxy may add one."""

_STEPS_AT_ONCE = 16  # pieces of one turn of the event loop
_GZIP_WINDOW = zlib.MAX_WBITS | 16
_GZIP = frozenset({"gzip", "x-gzip"})  # RFC 9110, 8.4.1.3
_GZIP_BEGINS = b"\x1f"


class DecodingError(aiohttp.ClientError):
    """An answer is not compressed as its `content-encoding` says."""


def find_codings(headers: Mapping[str, str]) -> Sequence[str]:
    """Return the compressions of a body, the last applied first.

    Raises DecodingError for too many.
    """
    stated = headers.get("content-encoding")
    if not stated:
        return ()
    codings = [coding.strip() for coding in stated.lower().split(",")]
    known = [coding for coding in codings if coding in _GZIP or coding == "deflate"]
    if len(known) > MOST_CODINGS:
        raise DecodingError(f"the answer is compressed more than {MOST_CODINGS} times")
    return known[::-1]


async def unpack(packed: AsyncIterable[bytes], codings: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield a body without these compressions. Raises DecodingError."""
    levels = [_Level(is_gzip=coding in _GZIP) for coding in codings]
    steps = 0
    async for data in packed:
        for piece in _feed(levels, data):
            steps += 1
            if steps % _STEPS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if piece:
                yield piece


def decompress(response: httpx.Response) -> None:
    """Replace the body of a response of httpx by the decompressed one. Raises DecodingError."""
    codings = find_codings(response.headers)
    if codings:
        del response.headers["content-encoding"]
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Unpacked(response.stream, codings)


class _Unpacked(httpx.AsyncByteStream):
    """The decompressed body of a response of httpx."""

    def __init__(self, packed: httpx.AsyncByteStream, codings: Sequence[str]) -> None:
        self._packed = packed
        self._codings = codings

    def __aiter__(self) -> AsyncIterator[bytes]:
        return unpack(self._packed, self._codings)

    async def aclose(self) -> None:
        await self._packed.aclose()


def _feed(levels: Sequence["_Level"], data: bytes) -> Iterator[bytes]:
    if not levels:
        yield data
        return
    for piece in levels[0].feed(data):
        yield from _feed(levels[1:], piece)


class _Level:
    """The removal of one coding."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._unzip = zlib.decompressobj(_GZIP_WINDOW if is_gzip else zlib.MAX_WBITS)
        self._is_new = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed pieces. A piece may be empty."""
        is_full = False
        while data or is_full:
            if self._unzip.eof:
                if not (self._is_gzip and data.startswith(_GZIP_BEGINS)):
                    return  # bytes after the end are not part of the answer
                self._unzip = zlib.decompressobj(_GZIP_WINDOW)
            piece = self._step(data)
            is_full = len(piece) == PIECE_BYTES
            data = self._unzip.unused_data if self._unzip.eof else self._unzip.unconsumed_tail
            yield piece

    def _step(self, data: bytes) -> bytes:
        is_new, self._is_new = self._is_new, False
        try:
            return self._unzip.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            if self._is_gzip or not is_new:
                raise DecodingError(str(error)) from error
        self._unzip = zlib.decompressobj(
            -zlib.MAX_WBITS
        )  # many servers send deflate without its header
        return self._step(data)
