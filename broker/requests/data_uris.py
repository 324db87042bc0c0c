"""`data:` URIs and base64 in every spelling that clients send, brought into one form. Pure.

Rules: RFC 2397 (the scheme, whose words may be written in any case), RFC 3986 (percent encoding),
RFC 4648 (base64; its section 5 has the alphabet for URLs), RFC 2045 (line breaks every 76
characters, which many encoders add). Providers take only the plainest spelling of all these.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_SPACES = b" \t\r\n\f\v"
_GROUP = 4  # characters of base64 for three bytes
_HEAD = 256  # characters in which a media type and its parameters are looked for
_ALIASES = {"image/jpg": "image/jpeg", "application/x-pdf": "application/pdf"}
_UNICODE = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_START = re.compile(r"\s*data:", re.IGNORECASE)
_TEXT = re.compile(r"text/|application/(json|xml)$")


@dataclass(frozen=True, slots=True)
class DataUri:
    """The content of a URI: its media type (None where it states none), and base64."""

    mime: str | None
    data: str

    def __str__(self) -> str:
        return f"data:{self.mime or ''};base64,{self.data}"


def is_data_uri(text: str) -> bool:
    """Return whether a text begins as a `data:` URI, in any case."""
    return _START.match(text) is not None


def stated_type(uri: str) -> str | None:
    """Return the media type that a `data:` URI states, without reading its data."""
    head = _START.sub("", uri[:_HEAD], count=1).partition(",")[0]
    mime = head.partition(";")[0].strip().lower()
    return _ALIASES.get(mime, mime) if "/" in mime else None


def read_data_uri(uri: str) -> DataUri:
    """Return what a `data:` URI holds. Raises ValueError, which says what is wrong."""
    head, comma, payload = uri.partition(",")
    if not comma:
        raise ValueError("a data URI has a comma before its data, as data:image/png;base64,iVBO…")
    parameters = [word.strip().lower() for word in head.split(";")[1:]]
    mime = stated_type(uri)
    if "base64" in parameters:
        data = canonical_base64(payload)
    else:
        data = base64.b64encode(unquote_to_bytes(payload)).decode()
    if not data:
        raise ValueError("a data URI without data")
    if mime is None or _TEXT.match(mime):
        data = _in_unicode(data, parameters)
    return DataUri(mime, data)


def canonical_base64(text: str) -> str:
    """Return base64 in the standard alphabet, padded, on one line. Raises ValueError."""
    try:
        given = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError("not base64") from None
    if len(given) % _GROUP == 0 and not given.rstrip(b"=").translate(None, _ALPHABET):
        plain = given
    else:
        plain = unquote_to_bytes(given) if b"%" in given else given
        plain = plain.translate(_STANDARD, _SPACES).rstrip(b"=")
        plain += b"=" * (-len(plain) % _GROUP)
    try:
        decoded = base64.b64decode(plain, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    return base64.b64encode(decoded).decode()


def read_sound(text: str) -> DataUri:
    """Return a sound given as base64 or as a data URI. Raises ValueError."""
    return read_data_uri(text) if is_data_uri(text) else DataUri(None, canonical_base64(text))


def _in_unicode(data: str, parameters: list[str]) -> str:
    """Return a text's data in UTF-8, which is what providers read."""
    stated = next((word[8:] for word in parameters if word.startswith("charset=")), "")
    charset = stated.strip("\"' ")
    if charset in _UNICODE:
        return data
    try:
        text = base64.b64decode(data).decode(charset)
    except (LookupError, UnicodeDecodeError):
        raise ValueError(f"the text is not in its stated charset {charset[:40]!r}") from None
    return base64.b64encode(text.encode()).decode()
