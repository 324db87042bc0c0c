"""The pictures and the mask that a body sends for a picture to be made. Pure.

Forms: OpenAI's `images` and `mask` of "Create image edit" in JSON, whose `image_url` is a text, and
OpenRouter's `input_references`, whose `image_url` is an object as in a chat.
"""

from typing import Any

from broker.completion import Json

REFERENCES = ("images", "input_references")
"""Fields with pictures."""

MASK = "mask"


def list_references(body: Json) -> list[tuple[str, str]]:
    """Return the field and the URL (https or `data:`) of each picture of a body."""
    return [
        (f"{name}.{index}.image_url", url)
        for name in REFERENCES
        for index, each in enumerate(_list(body.get(name)))
        if (url := read_image_url(each)) is not None
    ]


def read_mask(body: Json) -> str | None:
    """Return the URL of the mask, or None without one."""
    return read_image_url(body.get(MASK))


def read_image_url(value: Any) -> str | None:
    """Return the URL of `{image_url: …}`, or None for anything else."""
    held = value.get("image_url") if isinstance(value, dict) else None
    url = held.get("url") if isinstance(held, dict) else held
    return url if isinstance(url, str) else None


def replace_urls(body: Json, urls: dict[str, str]) -> Json:
    """Return a body with other URLs, by the fields of `list_references` and `mask.image_url`."""
    changed = dict(body)
    for name in REFERENCES:
        if name in body:
            changed[name] = [
                _replace(each, urls.get(f"{name}.{index}.image_url"))
                for index, each in enumerate(_list(body[name]))
            ]
    if MASK in body:
        changed[MASK] = _replace(body[MASK], urls.get("mask.image_url"))
    return changed


def _replace(value: Any, url: str | None) -> Any:
    return value if url is None else {**value, "image_url": url}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
