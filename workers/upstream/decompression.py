"""Decompression of providers' answers piece by piece, with a bound on the size."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx

PIECE_BYTES = 64 * 1024
MOST_CODINGS = 2
"""The number of compressions that an answer may have; a proxy may add one."""

_STEPS_AT_ONCE = 16  # pieces of one turn of the event loop
_GZIP_WINDOW = zlib.MAX_WBITS | 16
_GZIP = frozenset({"gzip", "x-gzip"})  # RFC 9110, 8.4.1.3
_GZIP_BEGINS = b"\x1f"


def decompress(response: httpx.Response) -> None:
    """Replace a response's body by the decompressed one.

    Raises httpx.DecodingError for too many codings.
    """
    stated = response.headers.get("content-encoding", "").lower()
    codings = [coding.strip() for coding in stated.split(",")]
    known = [coding for coding in codings if coding in _GZIP or coding == "deflate"]
    if not known:
        return
    if len(known) > MOST_CODINGS:
        raise httpx.DecodingError(f"the answer is compressed more than {MOST_CODINGS} times")
    del response.headers["content-encoding"]
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Unpacked(response.stream, known[::-1])


class _Unpacked(httpx.AsyncByteStream):
    """A body with its codings removed, in reverse order of their application."""

    def __init__(self, packed: httpx.AsyncByteStream, codings: Sequence[str]) -> None:
        self._packed = packed
        self._levels = [_Level(is_gzip=coding in _GZIP) for coding in codings]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        steps = 0
        async for packed in self._packed:
            for piece in self._through(packed, 0):
                steps += 1
                if steps % _STEPS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if piece:
                    yield piece

    async def aclose(self) -> None:
        await self._packed.aclose()

    def _through(self, data: bytes, level: int) -> Iterator[bytes]:
        if level == len(self._levels):
            yield data
            return
        for piece in self._levels[level].feed(data):
            yield from self._through(piece, level + 1)


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
                raise httpx.DecodingError(str(error)) from error
        self._unzip = zlib.decompressobj(
            -zlib.MAX_WBITS
        )  # many servers send deflate without its header
        return self._step(data)
