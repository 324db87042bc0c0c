"""Reads text from request headers, which clients send in UTF-8."""

from starlette.requests import Request


def header(request: Request, name: str) -> str | None:
    """Return a header's value: UTF-8 where the bytes are UTF-8, else Latin-1 (RFC 9110, 5.5)."""
    value = request.headers.get(name)
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
