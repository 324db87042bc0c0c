"""Takes secrets out of a provider's words before they are stored or shown.

Providers echo keys in their error messages ("Incorrect API key provided: sk-…"), and proxies echo
whole request headers.
"""

import re
from urllib.parse import quote

RAW_LIMIT = 2000
"""Characters of a provider's body that are kept."""

_HIDDEN = "[redacted]"
_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_\-*.]{4,}"
    r"|\b(?:pk|rk|gsk|csk|xai|pplx|hf|r8|nvapi|tgp|fw|vck|dapi|ghp|gho)[-_]?"
    r"(?=[A-Za-z_\-]*[\d*])[A-Za-z0-9_\-*]{12,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\bya29\.[A-Za-z0-9_\-.]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]*"
)
_BEARER = re.compile(r"\b(bearer|basic)\s+(?=\S*\d)[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:api[ _-]?key|authorization|access[ _-]?token|security[ _-]?token|secret|password|"
    r"signature|x-goog-api-key)(?:\s+provided)?[\"']?\s*[:=]\s*[\"']?)"
    r"(?!bearer |basic |\[redacted)([^\s\"',;&<>{}\[\]]{3,})",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced."""
    text = _BEARER.sub(rf"\1 {_HIDDEN}", text)
    return _KEYS.sub(_HIDDEN, _NAMED.sub(rf"\1{_HIDDEN}", text))


def without(text: str, secret: str) -> str:
    """Return `text` without this very secret, whole or escaped as JSON and `repr` do."""
    for spelling in (secret, secret.encode("unicode_escape").decode(), quote(secret, safe="")):
        text = text.replace(spelling, _HIDDEN)
    return text


def excerpt(text: str, limit: int = RAW_LIMIT) -> str:
    """Return at most `limit` characters of `text`, without secrets."""
    # Redacting before the cut, so that half a key at the edge is not missed; the slack bounds work.
    return redact(text[: limit * 4])[:limit]
