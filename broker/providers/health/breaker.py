"""The verdict on an endpoint after an attempt, and the circuit breaker as a value. Pure."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.providers.endpoint_stats import Circuit


class Verdict(StrEnum):
    """An attempt as its endpoint's record has it."""

    OK = "ok"
    FAILED = "failed"  # counts against the endpoint
    LIMITED = "limited"  # 429: too many requests, not a fault
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
"""Texts of a 403 that refuses the key itself, not one request."""


def verdict(failure: Failure) -> Verdict:
    """Return what a failed attempt says about its endpoint.

    The error type is checked before the status: providers report an empty account as 400 or 429,
    and a prompt that is too long as 500.
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
    """Return whether the provider refused our key or account (401, 402), not this request.

    A 403 is as often about one model or one prompt: it counts where its words are about the
    account, so that nobody who asks for what the account may not use takes the rest from others.
    """
    if failure.outcome is not AttemptOutcome.REJECTED:
        return False
    if failure.error_type is ErrorType.PERMISSION_DENIED:
        text = f"{failure.provider_code} {failure.message} {failure.raw}"
        return _WHOLE_ACCOUNT.search(text) is not None
    return failure.error_type in _CREDENTIAL


THRESHOLDS = ((5, 0.9), (20, 0.5))
"""(attempts, share that failed): either opens. The few must be clear, the many need be half."""

REFUSALS = 3  # of a credential, in a row
COOL_DOWN_MS = 5_000
LONGEST_COOL_DOWN_MS = 120_000
CREDENTIAL_COOL_DOWN_MS = 60_000
LONGEST_CREDENTIAL_COOL_DOWN_MS = 30 * 60_000
LONGEST_RETRY_AFTER_MS = 3_600_000  # what a provider asks beyond this is not believed
FORGIVEN_MS = 600_000  # closed for so long, earlier openings no longer count


@dataclass(frozen=True, slots=True)
class Breaker:
    """One circuit. Times are Unix milliseconds, 0 = never."""

    until: int = 0  # open: no call before this; 0 = closed
    trips: int = 0  # openings in a row
    since: int = 0  # closed again since: earlier failures are forgiven
    probe_until: int = 0  # a probe is under way, or was lost when this has passed
    refusals: int = 0  # of a credential, in a row
    credential: str = ""  # a fingerprint: another key starts from zero
    why: str = ""  # for people

    @property
    def is_troubled(self) -> bool:
        """Return whether a success would change it."""
        return bool(self.until or self.refusals)

    def circuit(self, now: int) -> Circuit:
        if not self.until:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.until else Circuit.HALF_OPEN

    def takes_probe(self, now: int) -> bool:
        """Return whether a call may go through as the probe."""
        return self.circuit(now) is Circuit.HALF_OPEN and self.probe_until <= now


CLOSED = Breaker()


def is_too_bad(ok: int, failed: int) -> bool:
    """Return whether these attempts open a circuit. A single failure never does."""
    seen = ok + failed
    return any(seen >= least and failed >= share * seen for least, share in THRESHOLDS)


def opened(breaker: Breaker, now: int, *, retry_after_ms: int = 0, why: str = "") -> Breaker:
    """Open it, or keep it open for longer."""
    is_credential = bool(breaker.credential)
    base, most = (
        (CREDENTIAL_COOL_DOWN_MS, LONGEST_CREDENTIAL_COOL_DOWN_MS)
        if is_credential
        else (COOL_DOWN_MS, LONGEST_COOL_DOWN_MS)
    )
    fresh = not breaker.until and now - breaker.since > FORGIVEN_MS
    trips = 1 if fresh else breaker.trips + 1
    cool_down = max(
        min(base * 2 ** min(trips - 1, 16), most), min(retry_after_ms, LONGEST_RETRY_AFTER_MS)
    )
    return replace(
        breaker,
        until=max(breaker.until, now + cool_down),
        trips=trips,
        probe_until=0,
        why=why or breaker.why,
    )


def extended(breaker: Breaker, now: int, retry_after_ms: int) -> Breaker:
    """Keep an open circuit open for as long as its provider now asks."""
    if breaker.circuit(now) is not Circuit.OPEN:
        return breaker
    until = now + min(retry_after_ms, LONGEST_RETRY_AFTER_MS)
    return replace(breaker, until=max(breaker.until, until))


def probing(breaker: Breaker, now: int, lease_ms: int) -> Breaker:
    """Let one call through; another may go once this one is lost."""
    return replace(breaker, probe_until=now + lease_ms)


def probed(
    breaker: Breaker, now: int, *, well: bool | None, retry_after_ms: int = 0, why: str = ""
) -> Breaker:
    """Record the result of a probe. None: it showed nothing, and the next call may probe."""
    if well is None:
        return replace(breaker, probe_until=0)
    if well:
        return Breaker(since=now, trips=breaker.trips, credential=breaker.credential)
    return opened(breaker, now, retry_after_ms=retry_after_ms, why=why)


def refused(breaker: Breaker, now: int, *, credential: str, why: str) -> Breaker:
    """Count a refusal of a credential; enough in a row disable it."""
    known = breaker if breaker.credential == credential else Breaker(credential=credential)
    counted = replace(known, refusals=known.refusals + 1, why=why)
    if counted.until or counted.refusals < REFUSALS:
        return counted
    return opened(counted, now, why=why)


def is_settled(breaker: Breaker, now: int) -> bool:
    """Return whether it can be deleted: closed, with no recent opening or refusal."""
    return not breaker.until and not breaker.refusals and now - breaker.since > FORGIVEN_MS
