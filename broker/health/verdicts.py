"""What an attempt says about its endpoint. Pure.

What counts against a provider is OpenRouter's table (reference: its routing notes): 5xx, silence,
broken answers, 401, 402, 404, 405, 408, 410, 421, 423, 424, 426, 498 do. A request's own fault
(400, 413, 422), a refusal of its content (403, 451), a caller who left (499) do not; 429 has a rule
of its own.
"""

from enum import StrEnum

from broker.completion import AttemptOutcome, ErrorType, Failure


class Verdict(StrEnum):
    """An attempt as its endpoint's record has it."""

    OK = "ok"
    FAILED = "failed"  # counts against the endpoint
    LIMITED = "limited"  # 429: too much asked of it, not a fault
    EXCUSED = "excused"  # the request's own fault, or nobody's


_AGAINST = frozenset(
    {
        ErrorType.AUTHENTICATION,
        ErrorType.PAYMENT_REQUIRED,
        ErrorType.NOT_FOUND,
        ErrorType.SERVER,
        ErrorType.UNMAPPED,
        ErrorType.PROVIDER_UNAVAILABLE,
        ErrorType.PROVIDER_OVERLOADED,
        ErrorType.TIMEOUT,
    }
)
_AGAINST_BY_STATUS = frozenset({405, 421, 423, 426})  # statuses that have no error type
_CALLER_LEFT = 499
_TOO_MANY = 429
_OURS = frozenset({AttemptOutcome.CANCELLED, AttemptOutcome.INTERRUPTED, AttemptOutcome.SKIPPED})
_CREDENTIAL = frozenset(
    {ErrorType.AUTHENTICATION, ErrorType.PAYMENT_REQUIRED, ErrorType.PERMISSION_DENIED}
)


def verdict(failure: Failure) -> Verdict:
    """Return what a failed attempt says about its endpoint.

    The error type is asked before the status: providers send an empty account as 400 or 429, and a
    prompt that is too long as 500.
    """
    if failure.outcome in _OURS or failure.http_status == _CALLER_LEFT:
        return Verdict.EXCUSED
    if failure.error_type is ErrorType.RATE_LIMIT_EXCEEDED:
        return Verdict.LIMITED
    if failure.error_type is ErrorType.PROVIDER_OVERLOADED and failure.http_status == _TOO_MANY:
        return Verdict.LIMITED
    if failure.outcome is AttemptOutcome.UNKNOWN or failure.error_type in _AGAINST:
        return Verdict.FAILED
    return Verdict.FAILED if failure.http_status in _AGAINST_BY_STATUS else Verdict.EXCUSED


def refuses_credential(failure: Failure) -> bool:
    """Tell whether the provider refused our key or account (401, 402, 403), not this request."""
    return failure.outcome is AttemptOutcome.REJECTED and failure.error_type in _CREDENTIAL
