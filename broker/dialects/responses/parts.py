"""Parts of the content of items as parts of a chat message."""

from typing import Any

from broker.completion import Json
from broker.errors import InvalidRequestError

_TEXTS = frozenset({"input_text", "output_text", "summary_text", "reasoning_text"})
_TEXT_FIELDS = frozenset({"type", "text", "annotations", "logprobs"})


def translate_content(content: Any, field: str) -> Any:
    """Return content of a chat message: a text, or parts. A single plain text is a text."""
    if not isinstance(content, list):
        return content
    if len(content) == 1 and content[0]["type"] in _TEXTS and _TEXT_FIELDS.issuperset(content[0]):
        return content[0]["text"]
    return [_translate_part(part, f"{field}.{place}") for place, part in enumerate(content)]


def _translate_part(part: Json, field: str) -> Json:
    kind = part["type"]
    if kind in _TEXTS:
        rest = {name: value for name, value in part.items() if name not in _TEXT_FIELDS}
        return {"type": "text", "text": part["text"], **rest}
    if kind == "input_image":
        return _translate_image(part, field)
    if kind == "input_file":
        return _translate_file(part, field)
    return part  # `input_audio` and `refusal` have the same form


def _translate_image(part: Json, field: str) -> Json:
    if not (url := part.get("image_url")):
        raise InvalidRequestError(
            f"{field}.image_url: is needed: an HTTPS URL or a data URI. Images cannot be named by "
            "`file_id`.",
            param=f"{field}.image_url",
        )
    image = {"url": url} | ({"detail": part["detail"]} if part.get("detail") else {})
    mark = part.get("cache_control")
    return {"type": "image_url", "image_url": image, **({"cache_control": mark} if mark else {})}


def _translate_file(part: Json, field: str) -> Json:
    file = {name: part[name] for name in ("filename", "file_id") if part.get(name)}
    if data := part.get("file_data") or part.get("file_url"):
        file["file_data"] = data
    if not data and "file_id" not in file:
        raise InvalidRequestError(
            f"{field}.file_data: is needed, or file_url, or file_id", param=f"{field}.file_data"
        )
    mark = part.get("cache_control")
    return {"type": "file", "file": file, **({"cache_control": mark} if mark else {})}
