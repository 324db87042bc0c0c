"""Known image models: the sizes, qualities and other options that each takes. Pure.

Sources: OpenAI API reference, "Create image" and "Create image edit"; Gemini API, "Image
generation"; Vertex AI, "Imagen API"; docs.x.ai, "Image generations"; Stability AI, "REST v2beta
API"; docs.bfl.ai, "FLUX.2".
Nothing is refused for a model that is not listed.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from broker.completion import Json
from broker.requests.pictures import MASK, REFERENCES, list_references
from broker.values import immutable

AUTO = "auto"
TIERS = {"512": 512, "768": 768, "1K": 1024, "1.5K": 1536, "2K": 2048, "4K": 4096}
"""Side of a square picture of a resolution tier, in pixels."""

_PIXELS = re.compile(r"([1-9]\d{1,4})[xX*]([1-9]\d{1,4})")
_RATIO = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")
_TOLERANCE = 0.02
"""A size has an aspect ratio if its own differs by less than this share."""

PICTURE_FIELDS = (
    *("size", "aspect_ratio", "resolution", "output_format", "quality", "background", "n"),
    *(*REFERENCES, MASK),
)
"""Fields of a body whose values depend on the model."""


@immutable
class PixelRule:
    """Free sizes: steps of both sides, the largest side, and the longest aspect ratio."""

    step: int
    largest: int
    ratio: float = 3.0

    def accepts(self, width: int, height: int) -> bool:
        """Return whether pictures of this size can be made."""
        longest, shortest = max(width, height), min(width, height)
        is_stepped = width % self.step == 0 and height % self.step == 0
        return is_stepped and longest <= self.largest and longest <= shortest * self.ratio

    def describe(self) -> str:
        """Return the rule in words."""
        return (
            f"WIDTHxHEIGHT in steps of {self.step}, with sides of at most {self.largest} and at "
            f"most {self.ratio:g}:1"
        )


@immutable
class ImageModel:
    """The options that the models of a family take. Without any value, it has no such option."""

    sizes: tuple[str, ...] = ()
    pixels: PixelRule | None = None
    aspect_ratios: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()
    most: int = 10  # pictures of one call
    references: int = 0  # pictures to work from
    mask: bool = False
    seed: bool = False
    compresses: bool = False  # `output_compression`
    streams: bool = False  # partial images

    def find_problem(self, field: str, body: Json) -> str | None:
        """Return what the model takes in a field, in words, if the body has something else."""
        value = body.get(field)
        return None if value is None or value == AUTO else _CHECKS[field](self, value)

    def describe_options(self) -> Mapping[str, Json]:
        """Return the options as OpenRouter's capability descriptors, by field."""
        lists = {
            "size": self.sizes,
            "aspect_ratio": self.aspect_ratios,
            "resolution": self.resolutions,
            "quality": self.qualities,
            "background": self.backgrounds,
            "output_format": self.output_formats,
        }
        ranges = {"n": (1, self.most), "input_references": (0, self.references)}
        ranges |= {"output_compression": (0, 100)} if self.compresses else {}
        flags = {"seed": self.seed, "mask": self.mask}
        return {
            **{
                name: {"type": "enum", "values": list(held)} for name, held in lists.items() if held
            },
            **{
                name: {"type": "range", "min": low, "max": high}
                for name, (low, high) in ranges.items()
                if high
            },
            **{name: {"type": "boolean"} for name, has in flags.items() if has},
        }


def read_pixels(size: Any) -> tuple[int, int] | None:
    """Return the width and the height of `WIDTHxHEIGHT`, or None for anything else."""
    found = _PIXELS.fullmatch(size) if isinstance(size, str) else None
    return (int(found[1]), int(found[2])) if found else None


def find_ratio(width: int, height: int, ratios: tuple[str, ...]) -> str | None:
    """Return the ratio of a size among these, or None if there is none."""
    for ratio in ratios:
        if abs(width / height / read_ratio(ratio) - 1) < _TOLERANCE:
            return ratio
    return None


def read_ratio(ratio: str) -> float:
    """Return the quotient of `W:H`; 1 for anything else."""
    found = _RATIO.fullmatch(ratio)
    return float(found[1]) / float(found[2]) if found and float(found[2]) else 1.0


def compute_pixels(ratio: str, tier: str | None, step: int, largest: int) -> str:
    """Return the size of a picture of this aspect ratio, with the area of a tier (1K without)."""
    side, quotient = TIERS.get(tier or "", 1024), read_ratio(ratio)
    width, height = side * math.sqrt(quotient), side / math.sqrt(quotient)
    shrink = min(1.0, largest / max(width, height))
    sides = (max(step, round(each * shrink / step) * step) for each in (width, height))
    return "x".join(map(str, sides))


def _check_size(model: ImageModel, size: str) -> str | None:
    if not (model.sizes or model.pixels or model.aspect_ratios):
        return None
    if size in model.sizes or size in model.resolutions or _is_free_size(model, size):
        return None
    pixels = None if model.sizes or model.pixels else read_pixels(size)
    if pixels and find_ratio(*pixels, model.aspect_ratios):
        return None
    if model.pixels:
        return f"takes {model.pixels.describe()}"
    if model.sizes:
        return _describe(model.sizes)
    return f"takes sizes of the aspect ratios {', '.join(model.aspect_ratios)}"


def _is_free_size(model: ImageModel, size: str) -> bool:
    if model.pixels is None:
        return False
    pixels = read_pixels(size)
    return size in TIERS or (pixels is not None and model.pixels.accepts(*pixels))


def _check_ratio(model: ImageModel, ratio: str) -> str | None:
    if model.pixels:
        longest = max(read_ratio(ratio), 1 / read_ratio(ratio))
        return None if longest <= model.pixels.ratio else f"takes at most {model.pixels.ratio:g}:1"
    return _check_listed(model.aspect_ratios, ratio)


def _check_resolution(model: ImageModel, tier: str) -> str | None:
    if model.pixels and not model.resolutions:
        return None
    return _check_listed(model.resolutions, tier)


def _check_listed(values: tuple[str, ...], value: Any) -> str | None:
    return None if value in values else _describe(values)


def _check_hint(values: tuple[str, ...], value: Any) -> str | None:
    """Check an option that a model without it ignores, as at OpenRouter."""
    return _check_listed(values, value) if values else None


def _check_background(model: ImageModel, value: str) -> str | None:
    return None if value == "opaque" else _check_listed(model.backgrounds, value)


def _check_number(model: ImageModel, value: int) -> str | None:
    return None if value <= model.most else f"takes at most {model.most}"


def _check_references(model: ImageModel, value: Any) -> str | None:
    number = len(list_references({REFERENCES[0]: value}))
    if number <= model.references:
        return None
    return f"takes at most {model.references}" if model.references else "takes no pictures"


def _check_mask(model: ImageModel, _: Any) -> str | None:
    return None if model.mask else "takes no mask"


def _describe(values: tuple[str, ...]) -> str:
    return f"takes {', '.join(values)}" if values else "does not take it"


_CHECKS: Mapping[str, Callable[[ImageModel, Any], str | None]] = {
    "size": _check_size,
    "aspect_ratio": _check_ratio,
    "resolution": _check_resolution,
    "output_format": lambda model, value: _check_hint(model.output_formats, value),
    "quality": lambda model, value: _check_hint(model.qualities, value),
    "background": _check_background,
    "n": _check_number,
    **dict.fromkeys(REFERENCES, _check_references),
    MASK: _check_mask,
}

_OPENAI_FORMATS = ("png", "jpeg", "webp")
_OPENAI_QUALITIES = ("low", "medium", "high", AUTO)
_BACKGROUNDS = ("transparent", "opaque", AUTO)
_FIXED = ImageModel(
    sizes=("1024x1024", "1536x1024", "1024x1536", AUTO),
    aspect_ratios=("1:1", "3:2", "2:3"),
    qualities=_OPENAI_QUALITIES,
    backgrounds=_BACKGROUNDS,
    output_formats=_OPENAI_FORMATS,
    references=16,
    mask=True,
    compresses=True,
    streams=True,
)
_FREE = ImageModel(
    pixels=PixelRule(step=16, largest=3840),
    qualities=_OPENAI_QUALITIES,
    backgrounds=_BACKGROUNDS,
    output_formats=_OPENAI_FORMATS,
    references=16,
    mask=True,
    compresses=True,
    streams=True,
)
_FREE_FINE = ImageModel(
    pixels=PixelRule(step=16, largest=3840),
    qualities=("low", "medium", "high", "xhigh", "max", AUTO),
    backgrounds=_BACKGROUNDS,
    output_formats=(*_OPENAI_FORMATS, "gif", "svg"),
    references=16,
    mask=True,
    compresses=True,
    streams=True,
)
_GEMINI_RATIOS = (
    *("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"),
)  # fmt: skip
_GEMINI = ImageModel(aspect_ratios=_GEMINI_RATIOS, references=14, seed=True)
_GEMINI_3 = ImageModel(
    aspect_ratios=_GEMINI_RATIOS, resolutions=("1K", "2K", "4K"), references=14, seed=True
)
_IMAGEN = ImageModel(
    aspect_ratios=("1:1", "3:4", "4:3", "9:16", "16:9"), resolutions=("1K", "2K"), most=4
)
_GROK = ImageModel(
    aspect_ratios=("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "2:1", "1:2"),
    resolutions=("1K", "2K"),
    references=3,
)
_STABILITY = ImageModel(
    aspect_ratios=("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"),
    output_formats=_OPENAI_FORMATS,
    most=1,
    references=1,
    mask=True,
    seed=True,
)
_FLUX = ImageModel(
    pixels=PixelRule(step=16, largest=2048, ratio=4.0),
    output_formats=("png", "jpeg", "webp"),
    references=8,
    mask=True,
    seed=True,
)
FAMILIES: Mapping[str, ImageModel] = {
    "gpt-image-2.": _FREE_FINE,
    "gpt-image-2": _FREE,
    "gpt-image": _FIXED,
    "chatgpt-image": _FIXED,
    "gemini-2.5-flash-image": _GEMINI,
    "gemini-3-pro-image": _GEMINI_3,
    "gemini-3.1-flash-image": _GEMINI_3,
    "gemini-3.1-flash-lite-image": _GEMINI_3,
    "imagen": _IMAGEN,
    "grok-imagine-image": _GROK,
    "stable-image": _STABILITY,
    "sd3": _STABILITY,
    "flux-2": _FLUX,
}
"""By the beginning of a model's name; the first that fits counts."""


@lru_cache(4_096)
def find_image_model(slug: str) -> ImageModel | None:
    """Return the options of a model by its slug or its native name, or None if unknown."""
    name = slug.rpartition("/")[2]
    return next((model for start, model in FAMILIES.items() if name.startswith(start)), None)


def select_picture_options(body: Json) -> Json:
    """Return the fields of a body whose values depend on the image model."""
    if "messages" in body:
        return {}
    return {name: body[name] for name in PICTURE_FIELDS if body.get(name) is not None}
