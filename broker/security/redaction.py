"""Remove secrets from text before it is printed, logged, stored or sent to a caller.

Two kinds of secrets are removed. Known ones: every module that reads a secret passes it to `learn`.
Unknown ones: providers echo keys in their error messages ("Incorrect API key provided: sk-…"), and
proxies echo whole request headers; these are recognised by their form.
"""

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import orjson

HIDDEN = "[redacted]"
SHORTEST = 8
"""A shorter secret also occurs in ordinary words, so it is left where it stands."""
LONGEST_WORD = 12
"""Letters alone up to this length are taken for a word ("not-needed"), and left."""

_WORD = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+)*")
_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_\-*.]{4,}"
    r"|\b(?:pk|rk|gsk|csk|xai|pplx|hf|r8|nvapi|tgp|fw|vck|ghp|gho)[-_]"
    r"(?=[A-Za-z_\-]*[\d*])[A-Za-z0-9_\-*]{12,}"
    r"|\bdapi[0-9a-f]{16,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\bya29\.[A-Za-z0-9_\-.]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]*"
)
_BEARER = re.compile(r"\b(bearer|basic)\s+(?=\S*\d)[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.\-]*://[^\s/:@\"']*:)([^\s/@\"']+)(?=@)")
_NAMED = re.compile(
    r"((?:api[ _-]?key|authorization|access[ _-]?token|security[ _-]?token|secret|password|"
    r"signature|x-goog-api-key)(?:\s+provided)?[\"']?\s*[:=]\s*[\"']?)"
    r"(?!bearer |basic |\[redacted)([^\s\"',;&<>{}\[\]]{6,})",
    re.IGNORECASE,
)

_known: tuple[str, ...] = ()  # every spelling of every known secret, the longest first


def learn(secrets: Iterable[str | None]) -> None:
    """Remove these secrets from every text from now on, as far as they are recognisable."""
    global _known  # noqa: PLW0603  # one process has one set of secrets
    found = {
        spelling
        for secret in secrets
        if secret and is_recognisable(secret)
        for spelling in _spellings(secret)
    }
    if not found.issubset(_known):
        _known = tuple(sorted(found.union(_known), key=len, reverse=True))


def is_recognisable(secret: str) -> bool:
    """Return whether a secret can be removed without harm to words that only look like it."""
    if len(secret) < SHORTEST:
        return False
    return len(secret) > LONGEST_WORD or _WORD.fullmatch(secret) is None


def redact(text: str) -> str:
    """Return `text` without known secrets and without what has the form of a secret."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = _URL_PASSWORD.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _KEYS.sub(HIDDEN, _NAMED.sub(_hide_named, text))


def redact_values(value: Any) -> Any:
    """Return a structure of dicts, lists and text with every text redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redact_values(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(each) for each in value]
    return value


def install_traceback_hook() -> None:
    """Print the tracebacks of uncaught errors redacted: their messages may repeat a secret."""
    sys.excepthook = _print_traceback


def _print_traceback(
    kind: type[BaseException], error: BaseException, place: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, place))))


def _hide_named(found: re.Match[str]) -> str:
    value = found[2]
    is_secret = is_recognisable(value) or any(letter.isdigit() for letter in value)
    return f"{found[1]}{HIDDEN}" if is_secret else found[0]


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as JSON, `repr` and URLs escape it."""
    yield secret
    yield orjson.dumps(secret).decode()[1:-1]
    yield secret.encode("unicode_escape").decode()
    yield quote(secret, safe="")
