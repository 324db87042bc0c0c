"""Reading of the message and the codes in an error body of any shape.

Shapes of providers: `{"error": {message, type, code, param}}` (OpenAI and most), `{"error": "…"}`,
`{"code", "error": "…"}` (xAI), `{"detail": …}` (Mistral, Voyage), `{"id", "message"}` (Cohere),
`[{"error": {…}}]` (Google's array stream), `{"message"}` or `{"__type"}` (AWS), `{"errors": [{…}]}`
(Cloudflare), plain text (Hugging Face), HTML (every proxy), and nothing at all.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from workers.adapters import json_shapes

_MESSAGE_FIELDS = (
    "message",
    "Message",
    "msg",
    "detail",
    "error",
    "errorMessage",
    "title",
    "reason",
)
_CODE_FIELDS = ("code", "type", "status", "__type", "error_type", "reason")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TEXT_LIMIT = 20_000  # characters that are read; the reason comes before that
_PLAIN_LIMIT = 8_000  # characters of an HTML page, whose tags are expensive to strip
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class ProviderErrorDetails:
    """The details of an error body."""

    message: str = ""
    code: str | None = None  # the most specific of `words`
    words: tuple[str, ...] = ()  # every code, type and status in it
    error_type: str | None = None  # `error_type` in OpenRouter's words, which are ours
    status: int | None = None  # the HTTP status inside the body
    text: str = ""  # the whole body as text


def read_error_details(body: bytes) -> ProviderErrorDetails:
    """Read an error body. Never raises."""
    text = body[: _TEXT_LIMIT * 4].decode("utf-8", "replace")[:_TEXT_LIMIT]
    try:
        payload = json_shapes.loads(body)
    except ValueError:
        return ProviderErrorDetails(message=_plain(text), text=text)
    return read_payload(payload, text)


def read_payload(payload: Any, text: str = "") -> ProviderErrorDetails:
    """Read an error that is already parsed, e.g. an error object inside a stream. Never raises."""
    layers = _layers(payload, _DEPTH)
    words = tuple(dict.fromkeys(word for layer in layers for word in _words(layer)))
    message = _find_message(layers) or _plain(text)
    if (raw := _upstream_raw(layers)) and raw not in message:
        message = f"{message}: {raw}" if message else raw
    return ProviderErrorDetails(
        message=message,
        code=_choose_code(words),
        words=words,
        error_type=_read_error_type(layers),
        status=_status(layers),
        text=text or _dump(payload),
    )


def describe_status(status: int | None) -> str:
    """Return a message for an answer without one."""
    if status is None:
        return "the provider reported a failure without a reason"
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _layers(payload: Any, depth: int) -> list[Any]:
    """Return the nested error objects, the innermost first."""
    if isinstance(payload, list):
        return _layers(payload[0], depth) if payload and depth else []
    if not isinstance(payload, dict):
        return [payload] if isinstance(payload, str) and payload else []
    inner: list[Any] = []
    if depth:
        for name in ("error", "errors", "detail"):
            if payload.get(name):
                inner += _layers(payload[name], depth - 1)
        if isinstance(nested := payload.get("message"), dict | list):  # Mistral's 422
            inner += _layers(nested, depth - 1)
    return [*inner, payload]


def _find_message(layers: list[Any]) -> str:
    for layer in layers:
        if isinstance(layer, str):
            return layer.strip()
        for name in _MESSAGE_FIELDS:
            value = layer.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
    return ""


def _words(layer: Any) -> list[str]:
    if not isinstance(layer, dict):
        return []
    found = [str(value) for name in _CODE_FIELDS if isinstance(value := layer.get(name), str | int)]
    reasons = [holder.get("reason") for holder in _details(layer) if isinstance(holder, dict)]
    found += [reason for reason in reasons if isinstance(reason, str)]
    return [word.rpartition("#")[2] for word in found if word and word not in ("True", "error")]


def _read_error_type(layers: list[Any]) -> str | None:
    for layer in layers:
        if not isinstance(layer, dict):
            continue
        for holder in (layer, layer.get("metadata")):
            if isinstance(holder, dict) and isinstance(word := holder.get("error_type"), str):
                return word
    return None


def _details(layer: dict[str, Any]) -> list[Any]:
    details = layer.get("details")
    return details if isinstance(details, list) else []


def _choose_code(words: tuple[str, ...]) -> str | None:
    """Return the first word that is not a number. `code` is often only the status."""
    return next((w for w in words if not w.isdigit()), words[0] if words else None)


def _status(layers: list[Any]) -> int | None:
    for layer in layers:
        if not isinstance(layer, dict):
            continue
        for name in ("status_code", "code", "status", "statusCode", "http_status"):
            value = layer.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value[:9])
            if isinstance(value, int) and 400 <= value <= 599:  # noqa: PLR2004  # HTTP's errors
                return value
    return None


def _upstream_raw(layers: list[Any]) -> str:
    """Return the vendor's message behind OpenRouter's "Provider returned error", or ""."""
    for layer in layers:
        metadata = layer.get("metadata") if isinstance(layer, dict) else None
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        if isinstance(raw, str) and raw.strip():
            return read_error_details(raw.encode("utf-8", "replace")).message
    return ""


def _plain(text: str) -> str:
    text = text[:_PLAIN_LIMIT]
    if "<" in text and (title := _TITLE.search(text)):
        text = title[1]
    return " ".join(_TAGS.sub(" ", text).split())


def _dump(payload: Any) -> str:
    try:
        return orjson.dumps(payload).decode()[:_TEXT_LIMIT]
    except (TypeError, ValueError):
        return str(payload)[:_TEXT_LIMIT]
