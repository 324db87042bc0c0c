"""Short sounds, made here: a tone as long as a text."""

import wave
from functools import lru_cache
from io import BytesIO
from math import pi, sin
from struct import pack
from typing import Final

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
    """Return how long a sound lasts; a guess where it is not a WAV file."""
    try:
        with wave.open(BytesIO(data), "rb") as reader:
            return reader.getnframes() / reader.getframerate()
    except (EOFError, wave.Error):
        return len(data) / (2 * RATE)


@lru_cache(maxsize=64)
def _tone(length: int) -> bytes:
    wave_values = (int(LOUDNESS * sin(2 * pi * TONE * at / RATE)) for at in range(length))
    return pack(f"<{length}h", *wave_values)
