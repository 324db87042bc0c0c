"""A circuit breaker as a value: what becomes of it, given what was seen and the time. Pure.

    closed     calls go through; too large a share of recent failures (5 to 10 s, 30 s) opens it
    open       no calls until the cool-down ends; it doubles with every opening in a row, honours
               Retry-After, and a later end replaces an earlier one, never the other way round
    half-open  one probe at a time: its success closes, its failure opens again

An endpoint has one, and so has each provider's credential (`evidence.WHOLE_PROVIDER`):
that one opens after some refusals of it (`verdicts`) in a row without a success between.
"""

from dataclasses import dataclass, replace

from broker.providers.endpoint_stats import Circuit

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
    credential: str = ""  # a fingerprint: another key begins anew
    why: str = ""  # for people

    @property
    def is_troubled(self) -> bool:
        """Whether a success would change it."""
        return bool(self.until or self.refusals)

    def circuit(self, now: int) -> Circuit:
        if not self.until:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.until else Circuit.HALF_OPEN

    def takes_probe(self, now: int) -> bool:
        """Tell whether a call may go through as the probe."""
        return self.circuit(now) is Circuit.HALF_OPEN and self.probe_until <= now


CLOSED = Breaker()


def is_too_bad(ok: int, failed: int) -> bool:
    """Tell whether these attempts open a circuit. A single failure never does."""
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
    asked = now + min(retry_after_ms, LONGEST_RETRY_AFTER_MS)
    return replace(breaker, until=max(breaker.until, asked))


def probing(breaker: Breaker, now: int, lease_ms: int) -> Breaker:
    """Let one call through; another may go once this one is lost."""
    return replace(breaker, probe_until=now + lease_ms)


def probed(
    breaker: Breaker, now: int, *, well: bool | None, retry_after_ms: int = 0, why: str = ""
) -> Breaker:
    """Say how the probe went; None where it said nothing of the endpoint (the next one may)."""
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
    """Tell whether it can be forgotten: closed, with nothing left to remember."""
    return not breaker.until and not breaker.refusals and now - breaker.since > FORGIVEN_MS
