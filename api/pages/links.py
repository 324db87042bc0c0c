"""Addresses of pages that are given out."""

from urllib.parse import urlsplit


def local_path(wanted: str | None, otherwise: str = "/account") -> str:
    """Return a path of ours to go on to; never one that leads a browser elsewhere."""
    if not wanted or not wanted.startswith("/") or "\\" in wanted or not wanted.isprintable():
        return otherwise
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else otherwise
