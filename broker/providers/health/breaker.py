"""The verdict on an endpoint after an attempt, and the circuit breaker as a value. Pure."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.providers.endpoint_stats import Circuit


class Verdict(StrEnum):
    """The effect of an attempt on its endpoint's record."""

    OK = "ok"
    FAILED = "failed"  # counts against the endpoint
    LIMITED = "limited"  # 429: too many requests, not a fault
    EXCUSED = "excused"  # the fault of the request or of Waybill, or of no one


_FAILURES = frozenset(
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
_FAILURE_STATUSES = frozenset({405, 421, 423, 426})  # statuses that have no error type
_CALLER_LEFT = 499
_TOO_MANY = 429
_EXCUSED = frozenset({AttemptOutcome.CANCELLED, AttemptOutcome.INTERRUPTED, AttemptOutcome.SKIPPED})
_CREDENTIAL = frozenset({ErrorType.AUTHENTICATION, ErrorType.PAYMENT_REQUIRED})
_WHOLE_ACCOUNT = re.compile(
    # Google (google.rpc.ErrorInfo reasons), OpenAI, Azure
    r"API_KEY_\w+_BLOCKED|CONSUMER_(SUSPENDED|INVALID)|SERVICE_DISABLED|ACCESS_TOKEN_SCOPE"
    r"|unsupported_country_region_territory|country, region, or territory|missing scopes"
    r"|virtual network/firewall|public access is disabled"
    # xAI, Mistral and others, in prose: a subject and a lasting refusal
    r"|\b(api[ -]?key|account|organi[sz]ation|team|project|workspace|subscription)\b"
    r"(?!.{0,80}\bmodel\b).{0,60}"
    r"\b(blocked|suspended|deactivated|disabled|banned|restricted"
    r"|not (enabled|activated|verified))",
    re.IGNORECASE,
)
"""Texts of a 403 that refuses the key itself, not one request."""


def judge_failure(failure: Failure) -> Verdict:
    """Return the verdict of a failed attempt on its endpoint.

    The error type is checked before the status: providers report an empty account as 400 or 429,
    and a prompt that is too long as 500.
    """
    if failure.outcome in _EXCUSED or failure.http_status == _CALLER_LEFT:
        return Verdict.EXCUSED
    if failure.error_type is ErrorType.RATE_LIMIT_EXCEEDED:
        return Verdict.LIMITED
    if failure.error_type is ErrorType.PROVIDER_OVERLOADED and failure.http_status == _TOO_MANY:
        return Verdict.LIMITED
    if failure.outcome is AttemptOutcome.UNKNOWN or failure.error_type in _FAILURES:
        return Verdict.FAILED
    return Verdict.FAILED if failure.http_status in _FAILURE_STATUSES else Verdict.EXCUSED


def refuses_credential(failure: Failure) -> bool:
    """Return whether the provider refused our key or account (401, 402), not this request.

    A 403 is often about one model or one prompt. It counts only when its text is about the
    account, so that requests for forbidden models cannot disable the provider for everyone.
    """
    if failure.outcome is not AttemptOutcome.REJECTED:
        return False
    if failure.error_type is ErrorType.PERMISSION_DENIED:
        text = f"{failure.provider_code} {failure.message} {failure.raw}"
        return _WHOLE_ACCOUNT.search(text) is not None
    return failure.error_type in _CREDENTIAL


THRESHOLDS = ((5, 0.9), (20, 0.5))
"""(attempts, share that failed): either opens a circuit. Few attempts need a larger share."""

REFUSALS = 3  # of a credential, in a row
COOL_DOWN_MS = 5_000
LONGEST_COOL_DOWN_MS = 120_000
CREDENTIAL_COOL_DOWN_MS = 60_000
LONGEST_CREDENTIAL_COOL_DOWN_MS = 30 * 60_000
LONGEST_RETRY_AFTER_MS = 3_600_000  # a longer `Retry-After` is cut to this
FORGIVEN_MS = 600_000  # after this time closed, earlier openings no longer count


@dataclass(frozen=True, slots=True)
class Breaker:
    """One circuit. Times are Unix milliseconds, 0 = never."""

    until: int = 0  # no call before this; 0 = closed
    trips: int = 0  # openings in a row
    since: int = 0  # the last closing: earlier failures do not count
    probe_until: int = 0  # the running probe counts as lost after this
    refusals: int = 0  # of a credential, in a row
    credential: str = ""  # its fingerprint: a new key starts from zero
    why: str = ""  # the reason of the last opening or refusal; stored in Redis

    @property
    def resets_on_success(self) -> bool:
        """Return whether a success would change it."""
        return bool(self.until or self.refusals)

    def circuit(self, now: int) -> Circuit:
        if not self.until:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.until else Circuit.HALF_OPEN

    def allows_probe(self, now: int) -> bool:
        """Return whether a call may go through as the probe."""
        return self.circuit(now) is Circuit.HALF_OPEN and self.probe_until <= now


CLOSED = Breaker()


def exceeds_threshold(ok: int, failed: int) -> bool:
    """Return whether these attempts open a circuit. A single failure never does so."""
    seen = ok + failed
    return any(seen >= least and failed >= share * seen for least, share in THRESHOLDS)


def open_circuit(breaker: Breaker, now: int, *, retry_after_ms: int = 0, why: str = "") -> Breaker:
    """Return the breaker open, or open for longer."""
    is_credential = bool(breaker.credential)
    base, longest = (
        (CREDENTIAL_COOL_DOWN_MS, LONGEST_CREDENTIAL_COOL_DOWN_MS)
        if is_credential
        else (COOL_DOWN_MS, LONGEST_COOL_DOWN_MS)
    )
    fresh = not breaker.until and now - breaker.since > FORGIVEN_MS
    trips = 1 if fresh else breaker.trips + 1
    cool_down = max(
        min(base * 2 ** min(trips - 1, 16), longest), min(retry_after_ms, LONGEST_RETRY_AFTER_MS)
    )
    return replace(
        breaker,
        until=max(breaker.until, now + cool_down),
        trips=trips,
        probe_until=0,
        why=why or breaker.why,
    )


def extend_open(breaker: Breaker, now: int, retry_after_ms: int) -> Breaker:
    """Extend an open circuit by the `Retry-After` of its provider."""
    if breaker.circuit(now) is not Circuit.OPEN:
        return breaker
    until = now + min(retry_after_ms, LONGEST_RETRY_AFTER_MS)
    return replace(breaker, until=max(breaker.until, until))


def start_probe(breaker: Breaker, now: int, lease_ms: int) -> Breaker:
    """Reserve the probe for one call; after `lease_ms` another call may be the probe."""
    return replace(breaker, probe_until=now + lease_ms)


def record_probe(
    breaker: Breaker, now: int, *, succeeded: bool | None, retry_after_ms: int = 0, why: str = ""
) -> Breaker:
    """Record the result of a probe. After None (no result) the next call may be the probe."""
    if succeeded is None:
        return replace(breaker, probe_until=0)
    if succeeded:
        return Breaker(since=now, trips=breaker.trips, credential=breaker.credential)
    return open_circuit(breaker, now, retry_after_ms=retry_after_ms, why=why)


def record_refusal(breaker: Breaker, now: int, *, credential: str, why: str) -> Breaker:
    """Count a refusal of a credential; REFUSALS in a row disable it."""
    known = breaker if breaker.credential == credential else Breaker(credential=credential)
    counted = replace(known, refusals=known.refusals + 1, why=why)
    if counted.until or counted.refusals < REFUSALS:
        return counted
    return open_circuit(counted, now, why=why)


def is_obsolete(breaker: Breaker, now: int) -> bool:
    """Return whether it can be deleted: closed, with no recent opening or refusal."""
    return not breaker.until and not breaker.refusals and now - breaker.since > FORGIVEN_MS
