"""Counts of many spans of time → the evidence of every endpoint. Pure.

Spans that can no longer change are added up once, so a look costs what is still being written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from broker.evidence import (
    NOTHING_KNOWN,
    WHOLE_PROVIDER,
    Circuit,
    EndpointKey,
    Evidence,
    Percentiles,
)
from broker.health import buckets, histogram
from broker.health.breaker import Breaker
from broker.health.buckets import HOURS, MINUTES, MOMENTS, RESOLUTIONS, Counts, Resolution
from broker.health.verdicts import Verdict

FIVE, THIRTY = 5, 30  # minutes
Span = Mapping[EndpointKey, Counts]


class History:
    """The spans that one reader has seen, and what they add up to."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, int], Span] = {}
        self._evidence: dict[EndpointKey, Evidence] = {}
        self._minute = -1

    def wanted(self, now: int) -> list[tuple[Resolution, int]]:
        """Return the spans that must be read: those unknown yet, and those still written to."""
        return [
            (each, start)
            for each in RESOLUTIONS
            for start in each.starts(now)
            if (each.name, start) not in self._spans or start in each.open(now)
        ]

    def take(self, spans: Mapping[tuple[Resolution, int], Span], now: int) -> None:
        """Keep what was read, and drop what is too old."""
        self._spans |= {(each.name, start): span for (each, start), span in spans.items()}
        kept = {(each.name, start) for each in RESOLUTIONS for start in each.starts(now)}
        self._spans = {place: span for place, span in self._spans.items() if place in kept}

    def lately(self, endpoint: EndpointKey, now: int, *, since: int) -> tuple[int, int]:
        """Return how many attempts succeeded and failed in the last 30 s, after `since`."""
        ok = failed = 0
        for start in MOMENTS.starts(now):
            seen = self._spans.get((MOMENTS.name, start), {}).get(endpoint)
            if seen and start >= since:
                ok += seen[Verdict.OK]
                failed += seen[Verdict.FAILED]
        return ok, failed

    def tried_lately(self, now: int) -> set[EndpointKey]:
        return self._endpoints(MOMENTS, MOMENTS.starts(now))

    def evidence(self, now: int) -> dict[EndpointKey, Evidence]:
        """Return what is known by counts. Endpoints at rest are looked at once a minute."""
        minute = MINUTES.start(now - buckets.LATE_MS)
        if minute != self._minute:
            self._minute = minute
            touched = self._endpoints(MINUTES, MINUTES.starts(now)) | self._endpoints(
                HOURS, HOURS.starts(now)
            )
            self._evidence = {}
        else:
            touched = self._endpoints(MINUTES, MINUTES.open(now))
        for endpoint in touched:
            self._evidence[endpoint] = self._of(endpoint, now)
        return self._evidence

    def _endpoints(self, resolution: Resolution, starts: Iterable[int]) -> set[EndpointKey]:
        spans = (self._spans.get((resolution.name, start), {}) for start in starts)
        return {endpoint for span in spans for endpoint in span}

    def _sum(self, resolution: Resolution, starts: Iterable[int], endpoint: EndpointKey) -> Counts:
        total: Counts = Counter()
        for start in starts:
            seen = self._spans.get((resolution.name, start), {}).get(endpoint)
            if seen:
                total.update(seen)
        return total

    def _of(self, endpoint: EndpointKey, now: int) -> Evidence:
        minutes = MINUTES.starts(now)
        five = self._sum(MINUTES, minutes[-FIVE - 1 :], endpoint)
        thirty = self._sum(MINUTES, minutes[: -FIVE - 1], endpoint) + five
        day = self._sum(HOURS, HOURS.starts(now), endpoint)
        counted = _counted(five) + five[Verdict.LIMITED]
        return Evidence(
            uptime_5m=_uptime(five),
            uptime_30m=_uptime(thirty),
            uptime_1d=_uptime(day),
            attempts_5m=_counted(five),
            latency_5m=_seconds(five),
            latency_30m=_seconds(thirty),
            throughput_5m=_speed(five),
            throughput_30m=_speed(thirty),
            rate_limited_5m=five[Verdict.LIMITED] / counted if counted else 0.0,
        )


def with_circuits(
    evidence: Mapping[EndpointKey, Evidence],
    circuits: Mapping[EndpointKey, Breaker],
    pauses: Mapping[EndpointKey, int],
    in_flight: Mapping[EndpointKey, int],
    now: int,
) -> dict[EndpointKey, Evidence]:
    """Add what is known beside counts: circuits, pauses, calls in flight.

    A disabled credential opens the circuits of all its provider's endpoints that are known.
    """
    told = {
        endpoint: replace(
            evidence.get(endpoint, NOTHING_KNOWN), in_flight=in_flight.get(endpoint, 0)
        )
        for endpoint in {*evidence, *circuits, *pauses, *in_flight}
    }
    for endpoint, known in told.items():
        asked = _paused(known, pauses.get(endpoint, 0), Circuit.CLOSED, now)
        for key in (endpoint, (endpoint[0], WHOLE_PROVIDER)):
            if (breaker := circuits.get(key)) is not None:
                asked = _paused(asked, breaker.until, _shown(breaker, now), now)
        told[endpoint] = asked
    return told


def _shown(breaker: Breaker, now: int) -> Circuit:
    """Return a breaker's position as routing should see it: while a probe runs it is shut."""
    circuit = breaker.circuit(now)
    is_probed = circuit is Circuit.HALF_OPEN and not breaker.takes_probe(now)
    return Circuit.OPEN if is_probed else circuit


def _paused(known: Evidence, until: int, circuit: Circuit, now: int) -> Evidence:
    """Return the evidence with the later pause and the worse circuit."""
    later = max(known.paused_until, until if until > now else 0)
    worse = max(circuit, known.circuit, key=_RANK.index)
    return replace(known, paused_until=later, circuit=worse)


_RANK = (Circuit.CLOSED, Circuit.HALF_OPEN, Circuit.OPEN)


def _counted(counts: Counts) -> int:
    return counts[Verdict.OK] + counts[Verdict.FAILED]


def _uptime(counts: Counts) -> float | None:
    counted = _counted(counts)
    return counts[Verdict.OK] / counted if counted else None


def _seconds(counts: Counts) -> Percentiles | None:
    found = histogram.percentiles(buckets.histogram(counts, buckets.WAIT))
    if found is None:
        return None
    return Percentiles(found.p50 / 1000, found.p75 / 1000, found.p90 / 1000, found.p99 / 1000)


def _speed(counts: Counts) -> Percentiles | None:
    return histogram.percentiles(buckets.histogram(counts, buckets.SPEED), falling=True)
