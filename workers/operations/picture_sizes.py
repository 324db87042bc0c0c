"""The size of a picture, as vendors without OpenAI's `size` take it."""

import math

from broker.completion import Json
from broker.requests.image_models import (
    TIERS,
    compute_pixels,
    find_image_model,
    find_ratio,
    read_pixels,
)
from broker.values import immutable

_FIXED_SIZES = {"1:1": "1024x1024", "3:2": "1536x1024", "2:3": "1024x1536"}
"""Sizes of the OpenAI models that have three sizes."""


@immutable
class PictureSize:
    """A size in pixels, an aspect ratio, or both; None where the vendor decides."""

    pixels: tuple[int, int] | None = None
    ratio: str | None = None


def read_size(body: Json) -> PictureSize:
    """Return the size that a body requests, by `size` or by `aspect_ratio`."""
    size, ratio = body.get("size"), body.get("aspect_ratio")
    pixels = read_pixels(size)
    if pixels is None:
        return PictureSize(ratio=ratio if isinstance(ratio, str) else None)
    width, height = pixels
    divisor = math.gcd(width, height)
    return PictureSize((width, height), f"{width // divisor}:{height // divisor}")


def find_listed_ratio(body: Json, model: str) -> str | None:
    """Return the aspect ratio that a body requests, as a model that has a list names it."""
    requested = read_size(body)
    known = find_image_model(model)
    if requested.pixels and known and known.aspect_ratios:
        return find_ratio(*requested.pixels, known.aspect_ratios) or requested.ratio
    return requested.ratio


def find_tier(body: Json) -> str | None:
    """Return the tier of the resolution, by `resolution` or by `size`."""
    size, tier = body.get("size"), body.get("resolution")
    return size if size in TIERS else tier


def with_openai_size(body: Json, model: str) -> Json:
    """Return a body with `size` in place of OpenRouter's fields, for OpenAI's own models."""
    known, tier, ratio = find_image_model(model), find_tier(body), body.get("aspect_ratio")
    if known is None:
        return body
    own = ("aspect_ratio", "resolution", *(() if known.seed else ("seed",)))
    fields = {name: value for name, value in body.items() if name not in own}
    if read_size(body).pixels or not (tier or ratio):
        return fields
    if known.pixels is None:
        return {**fields, "size": _FIXED_SIZES.get(ratio or "1:1", "auto")}
    step, largest = known.pixels.step, known.pixels.largest
    return {**fields, "size": compute_pixels(ratio or "1:1", tier, step, largest)}
