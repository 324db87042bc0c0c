"""Generated small PNG files and short sounds."""

import struct
import wave
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from math import pi, sin
from struct import pack
from typing import Final
from zlib import compress, crc32

SIDE: Final = 16  # pixels
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
DEPTH, TRUECOLOUR = 8, 2
TOKENS: Final = 258  # Gemini's tokens of a small image


def colour_of(text: str) -> str:
    """Return the colour of a text as six hexadecimal digits."""
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


RATE: Final = 8000  # samples a second, of 16 bits, of one channel
TONE: Final = 440  # Hz
LOUDNESS: Final = 8000
PER_CHARACTER: Final = RATE // 20
LONGEST: Final = 2 * RATE


def samples(text: str) -> bytes:
    """Return bare PCM."""
    return _tone(min(max(len(text), 1) * PER_CHARACTER, LONGEST))


def wav(text: str) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(samples(text))
    return file.getvalue()


def seconds(data: bytes) -> float:
    """Return the duration of a sound. It is a guess where it is not a WAV file."""
    try:
        with wave.open(BytesIO(data), "rb") as reader:
            return reader.getnframes() / reader.getframerate()
    except (EOFError, wave.Error):
        return len(data) / (2 * RATE)


@lru_cache(maxsize=64)
def _tone(length: int) -> bytes:
    wave_values = (int(LOUDNESS * sin(2 * pi * TONE * at / RATE)) for at in range(length))
    return pack(f"<{length}h", *wave_values)
