"""Cut a provider's text for an error, without secrets."""

import re
from dataclasses import replace

from broker.completion import Failure
from broker.redaction import redact

RAW_LIMIT = 2000
"""Characters of a provider's body that are kept."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL and half a surrogate pair: neither JSON's writer nor PostgreSQL takes them."""


def excerpt(text: str, limit: int = RAW_LIMIT) -> str:
    """Return at most `limit` characters of `text`, without secrets."""
    # Redacting before the cut, so that half a key at the edge is not missed; the slack bounds work.
    return redact(text[: limit * 4])[:limit]


def redact_failure(failure: Failure) -> Failure:
    """Return a failure whose every text is without secrets, and can be stored."""
    return replace(
        failure,
        message=_clean(failure.message),
        raw=failure.raw and _clean(failure.raw),
        provider_code=failure.provider_code and _clean(failure.provider_code),
    )


def _clean(text: str) -> str:
    return redact(_UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text))
