"""What an attempt says about its endpoint. Pure.

What counts against a provider is OpenRouter's table (reference: its routing notes): 5xx, silence,
broken answers, 401, 402, 404, 405, 408, 410, 421, 423, 424, 426, 498 do. A request's own fault
(400, 413, 422), a refusal of its content (403, 451), a caller who left (499) do not; 429 has a rule
of its own.
"""

import re
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
_CREDENTIAL = frozenset({ErrorType.AUTHENTICATION, ErrorType.PAYMENT_REQUIRED})
_WHOLE_ACCOUNT = re.compile(
    # Google (google.rpc.ErrorInfo reasons), OpenAI, Azure
    r"API_KEY_\w+_BLOCKED|CONSUMER_(SUSPENDED|INVALID)|SERVICE_DISABLED|ACCESS_TOKEN_SCOPE"
    r"|unsupported_country_region_territory|country, region, or territory|missing scopes"
    r"|virtual network/firewall|public access is disabled"
    # xAI, Mistral and others, in prose: who is refused, and for good
    r"|\b(api[ -]?key|account|organi[sz]ation|team|project|workspace|subscription)\b"
    r"(?!.{0,80}\bmodel\b).{0,60}"
    r"\b(blocked|suspended|deactivated|disabled|banned|restricted"
    r"|not (enabled|activated|verified))",
    re.IGNORECASE,
)
"""A 403 that would be answered to whatever is asked with this key."""


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
    """Tell whether the provider refused our key or account (401, 402), not this request.

    A 403 is as often about one model or one prompt: it counts where its words are about the
    account, so that nobody who asks for what the account may not use takes the rest from others.
    """
    if failure.outcome is not AttemptOutcome.REJECTED:
        return False
    if failure.error_type is ErrorType.PERMISSION_DENIED:
        said = f"{failure.provider_code} {failure.message} {failure.raw}"
        return _WHOLE_ACCOUNT.search(said) is not None
    return failure.error_type in _CREDENTIAL
