"""Request headers: their text, the content encoding, and the app that a request comes from.

The app's headers are OpenRouter's ("App Attribution").
"""

from typing import TypedDict
from urllib.parse import urlsplit

from starlette.requests import Request

from broker.completion import Json
from broker.errors import UnsupportedEncodingError


def read_header(request: Request, name: str) -> str | None:
    """Return a header's value: UTF-8 where the bytes are UTF-8, else Latin-1 (RFC 9110, 5.5)."""
    value = request.headers.get(name)
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def refuse_encoded(request: Request) -> None:
    """Raise UnsupportedEncodingError for a body with a content encoding."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncodingError(
            f"Content-Encoding: {encoding[:40]!r} is not read here: send the body as it is.",
            param="Content-Encoding",
        )


TITLES = ("x-openrouter-title", "x-title")
MAX_LENGTH = 256
"""Characters of a header that are stored."""


class Attribution(TypedDict):
    """The origin of a request, as fields of `JobOptions`."""

    app: str | None
    session_id: str | None
    origin: Json  # the headers


def read_attribution(request: Request) -> Attribution:
    """Return the app and the session of a request, and the headers that name them."""
    title = next((found for name in TITLES if (found := _read_cut(request, name))), None)
    referer = _read_cut(request, "http-referer") or _read_cut(request, "referer")
    headers = {
        "http_referer": referer,
        "title": title,
        "categories": _read_cut(request, "x-openrouter-categories"),
        "user_agent": _read_cut(request, "user-agent"),
    }
    return {
        "app": title or _find_host(referer),
        "session_id": _read_cut(request, "x-session-id"),
        "origin": {name: value for name, value in headers.items() if value},
    }


def _read_cut(request: Request, name: str) -> str | None:
    value = read_header(request, name)
    return value.strip()[:MAX_LENGTH] or None if value else None


def _find_host(referer: str | None) -> str | None:
    if referer is None:
        return None
    try:
        return urlsplit(referer).netloc or referer
    except ValueError:  # an incomplete IPv6 address
        return referer
