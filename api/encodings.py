"""Compressed bodies: they are not read here, where a few bytes could become any number."""

from starlette.requests import Request

from broker.errors import UnsupportedEncodingError


def check(request: Request) -> None:
    """Raise for a body in an encoding that would be read as if it had none."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncodingError(
            f"Content-Encoding: {encoding[:40]!r} is not read here: send the body as it is.",
            param="Content-Encoding",
        )
