"""Classification of a provider's error answer, for all wires, without secrets in its texts."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broker.completion import OWN_ERROR_TYPES, AttemptOutcome, ErrorType, Failure
from broker.security.redaction import redact
from workers.adapters.errors.body import (
    ProviderErrorDetails,
    describe_status,
    read_error_details,
    read_payload,
)
from workers.adapters.errors.retry_after import retry_after
from workers.adapters.errors.rules import INSIDE_ANSWER, name_failure

RAW_LIMIT = 2000
"""Characters of a provider's body that a failure keeps."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL and half a surrogate pair, which the JSON writer and PostgreSQL refuse."""


def excerpt(text: str, limit: int = RAW_LIMIT) -> str:
    """Return at most `limit` characters of `text`, without secrets."""
    # Redact before the cut, so that half a key at the edge is found; the slack bounds the work.
    return redact(text[: limit * 4])[:limit]


def redact_failure(failure: Failure) -> Failure:
    """Return a failure whose texts have no secrets and can be stored."""
    return replace(
        failure,
        message=_clean(failure.message),
        raw=failure.raw and _clean(failure.raw),
        provider_code=failure.provider_code and _clean(failure.provider_code),
    )


def _clean(text: str) -> str:
    return redact(_UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text))


_MESSAGE_LIMIT = 1000
_SUCCESS = range(200, 300)
_WINDOWED = frozenset({429, 503, 529})
_VAGUE = {ErrorType.INVALID_REQUEST, ErrorType.SERVER, ErrorType.UNMAPPED}
# The message is more specific than a vague type. Another Waybill's own errors are not ours.
_OWN_WORDS = frozenset(ErrorType) - _VAGUE - OWN_ERROR_TYPES


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Classify a whole error answer. Never raises.

    For a 2xx answer with an error in its body, the status inside the body counts.
    """
    details = read_error_details(body)
    claimed = details.status if status in _SUCCESS else status
    return _failure(details, claimed, claimed or status, headers)


def read_reported_error(error: Any, status: int | None = None) -> Failure:
    """Classify an error object found inside a 2xx answer or stream. Never raises.

    `status` is the HTTP status that the provider states beside the object, if any.
    """
    details = read_payload(error)
    claimed = status or details.status
    return _failure(details, claimed, claimed or 200, {})


def _failure(
    details: ProviderErrorDetails, claimed: int | None, answered: int, headers: Mapping[str, str]
) -> Failure:
    lowered = {str(name).lower(): str(value) for name, value in headers.items()}
    code = details.code or _aws_error_type(lowered)
    wait = retry_after(lowered, details.text, limited=claimed in _WINDOWED)
    return Failure(
        outcome=AttemptOutcome.REJECTED,
        error_type=_name(details, code, claimed),
        message=excerpt(details.message, _MESSAGE_LIMIT) or describe_status(claimed),
        http_status=answered,
        provider_code=excerpt(code, 200) if code else None,
        retry_after=wait,
        raw=excerpt(details.text) or None,
    )


def _name(details: ProviderErrorDetails, code: str | None, claimed: int | None) -> ErrorType:
    if details.error_type in _OWN_WORDS:
        return ErrorType(details.error_type)  # OpenRouter and another Waybill use our words
    text = " ".join((*details.words, code or "", details.message))
    return name_failure(claimed or INSIDE_ANSWER, text)


def _aws_error_type(headers: Mapping[str, str]) -> str | None:
    """Return the exception in AWS's header, e.g. `ThrottlingException:http://…`, or None."""
    return headers.get("x-amzn-errortype", "").partition(":")[0] or None
