"""Cut a provider's text for an error, without secrets."""

from dataclasses import replace

from broker.completion import Failure
from broker.redaction import redact

RAW_LIMIT = 2000
"""Characters of a provider's body that are kept."""


def excerpt(text: str, limit: int = RAW_LIMIT) -> str:
    """Return at most `limit` characters of `text`, without secrets."""
    # Redacting before the cut, so that half a key at the edge is not missed; the slack bounds work.
    return redact(text[: limit * 4])[:limit]


def redact_failure(failure: Failure) -> Failure:
    """Return a failure whose every text is without secrets."""
    return replace(
        failure,
        message=redact(failure.message),
        raw=failure.raw and redact(failure.raw),
        provider_code=failure.provider_code and redact(failure.provider_code),
    )
