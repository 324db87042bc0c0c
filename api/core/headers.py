"""Where a request came from, by its own headers (OpenRouter's "App Attribution")."""

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from api.headers import header
from broker.completion import Json

TITLES = ("x-openrouter-title", "x-title")
LONGEST = 256


def attribution(request: Request) -> dict[str, Any]:
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
