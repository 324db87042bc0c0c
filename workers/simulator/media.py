"""Small PNG files, drawn here: a square in the colour of a text."""

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import compress, crc32

SIDE: Final = 16  # pixels
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
DEPTH, TRUECOLOUR = 8, 2
TOKENS: Final = 258  # what Gemini takes for a small image


def colour_of(text: str) -> str:
    """Return six hexadecimal digits; another text, most likely another colour."""
    return blake2b(text.encode(), digest_size=3).hexdigest()


@lru_cache(maxsize=256)
def square(colour: str) -> bytes:
    """Return a PNG. Raises ValueError where `colour` is not three bytes in hexadecimal."""
    pixel = bytes.fromhex(colour)
    if len(pixel) != len("rgb"):
        raise ValueError(colour)
    row = b"\0" + pixel * SIDE  # no filter
    header = struct.pack(">IIBBBBB", SIDE, SIDE, DEPTH, TRUECOLOUR, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", compress(row * SIDE)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))
