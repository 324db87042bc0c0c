"""Stored bytes as an answer: something to save, in which no browser runs or renders anything.

Whoever uploads a file names its type: a page among them would act for whoever opens it.
"""

import re
from urllib.parse import quote

OCTETS = "application/octet-stream"
HARMLESS = re.compile(
    r"(?:(?:image|audio|video)/[\w.-]{1,60}"  # no `+`: image/svg+xml is a document
    r"|application/(?:json|jsonl|x-ndjson|pdf)"
    r"|text/plain)"
    r"(?:; ?charset=[\w-]{1,40})?",
    re.ASCII | re.IGNORECASE,
)


def media_type(stated: str) -> str:
    """Return the type, or octets for one that a browser might render, or that is none."""
    return stated if HARMLESS.fullmatch(stated) else OCTETS


def headers(filename: str) -> dict[str, str]:
    """Return what makes an answer a download under this name (RFC 6266)."""
    return {
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(filename, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
