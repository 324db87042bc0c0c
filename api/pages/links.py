"""Addresses of pages that are given out."""

import re

LOCAL = re.compile(
    r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+"  # segments: none is empty, ".", ".." or encoded
    r"(?:\?[!-\[\]-~]*)?",  # a query of visible ASCII characters without a backslash
)


def local_path(wanted: str | None, otherwise: str = "/account") -> str:
    """Return a path on this host to continue with, or `otherwise`.

    Browsers read many spellings as another host (two slashes, a backslash, a tab between slashes),
    so this names what is allowed instead of what is not.
    """
    return wanted if wanted and LOCAL.fullmatch(wanted) else otherwise
