"""The size of a picture, as vendors without OpenAI's `size` take it."""

import math
import re

from broker.completion import Json
from broker.values import immutable

_PIXELS = re.compile(r"([1-9]\d{1,4})[xX*]([1-9]\d{1,4})")


@immutable
class PictureSize:
    """A size in pixels, an aspect ratio, or both; None where the vendor decides."""

    pixels: tuple[int, int] | None = None
    ratio: str | None = None


def read_size(body: Json) -> PictureSize:
    """Return the size that a body requests, by `size` or by `aspect_ratio`."""
    size, ratio = body.get("size"), body.get("aspect_ratio")
    pixels = _PIXELS.fullmatch(size) if isinstance(size, str) else None
    if pixels is None:
        return PictureSize(ratio=ratio if isinstance(ratio, str) else None)
    width, height = int(pixels[1]), int(pixels[2])
    divisor = math.gcd(width, height)
    return PictureSize((width, height), f"{width // divisor}:{height // divisor}")
