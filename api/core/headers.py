"""Request headers: their text, the content encoding, and the app that a request comes from.

The app's headers are OpenRouter's ("App Attribution").
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from broker.completion import Json
from broker.errors import UnsupportedEncodingError


def header(request: Request, name: str) -> str | None:
    """Return a header's value: UTF-8 where the bytes are UTF-8, else Latin-1 (RFC 9110, 5.5)."""
    value = request.headers.get(name)
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def refuse_encoded(request: Request) -> None:
    """Raise for a body in an encoding that would be read as if it had none."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncodingError(
            f"Content-Encoding: {encoding[:40]!r} is not read here: send the body as it is.",
            param="Content-Encoding",
        )


TITLES = ("x-openrouter-title", "x-title")
LONGEST = 256


def read_attribution(request: Request) -> dict[str, Any]:
    """Return what a `Wish` says of its origin: app, session_id and the headers themselves."""
    title = next((found for name in TITLES if (found := _header(request, name))), None)
    referer = _header(request, "http-referer") or _header(request, "referer")
    headers: Json = {
        "http_referer": referer,
        "title": title,
        "categories": _header(request, "x-openrouter-categories"),
        "user_agent": _header(request, "user-agent"),
    }
    return {
        "app": title or _host(referer),
        "session_id": _header(request, "x-session-id"),
        "origin": {name: value for name, value in headers.items() if value},
    }


def _header(request: Request, name: str) -> str | None:
    value = header(request, name)
    return value.strip()[:LONGEST] or None if value else None


def _host(referer: str | None) -> str | None:
    if referer is None:
        return None
    try:
        return urlsplit(referer).netloc or referer
    except ValueError:  # half an IPv6 address
        return referer
