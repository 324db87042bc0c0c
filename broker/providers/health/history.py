"""Turn the counts of many spans of time into the stats of every endpoint. Pure.

Spans that can no longer change are added up once. A later call adds only the spans that can.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

from broker.providers.endpoint_stats import (
    NO_STATS,
    WHOLE_PROVIDER,
    Circuit,
    EndpointKey,
    EndpointStats,
    Pause,
    Percentiles,
)
from broker.providers.health import counts as buckets
from broker.providers.health.breaker import Breaker, Verdict
from broker.providers.health.counts import HOURS, MINUTES, MOMENTS, RESOLUTIONS, Counts, Resolution

FIVE = 5  # minutes
FIRST_STRETCH = 2  # moments: 5 to 10 s
Span = Mapping[EndpointKey, Counts]


@dataclass(frozen=True, slots=True)
class _Sums:
    """One endpoint's counts over the spans of each window."""

    five: Counts
    thirty: Counts
    day: Counts


class History:
    """The spans that one reader has read, and their sums."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, int], Span] = {}
        self._stats: dict[EndpointKey, EndpointStats] = {}
        self._closed: dict[EndpointKey, _Sums] = {}  # over the spans that cannot change any more
        self._changed: set[EndpointKey] = set()  # since their stats were computed
        self._written: tuple[list[int], list[int]] = ([], [])  # the spans that still can

    def find_missing_spans(self, now: int) -> list[tuple[Resolution, int]]:
        """Return the spans to read: those not read yet, and those that can still change."""
        return [
            (each, start)
            for each in RESOLUTIONS
            for start in each.starts(now)
            if (each.name, start) not in self._spans or start in each.open_starts(now)
        ]

    def add_spans(self, spans: Mapping[tuple[Resolution, int], Span], now: int) -> None:
        """Store the spans that were read, and drop those that are too old."""
        for (each, start), span in spans.items():
            before = self._spans.get((each.name, start), {})
            self._changed |= {key for key, counts in span.items() if before.get(key) != counts}
            self._spans[each.name, start] = span
        current = {(each.name, start) for each in RESOLUTIONS for start in each.starts(now)}
        self._spans = {key: span for key, span in self._spans.items() if key in current}

    def count_recent(self, endpoint: EndpointKey, now: int, *, since: int) -> list[tuple[int, int]]:
        """Return how many attempts (succeeded, failed) after `since`, for stretches up to 30 s.

        All stretches end now; the shortest is 5 to 10 s. So earlier successes do not hide that an
        endpoint fails now, even with few calls.
        """
        starts = [start for start in MOMENTS.starts(now) if start >= since]
        counts = [self._sum(MOMENTS, [start], endpoint) for start in reversed(starts)]
        ok = accumulate(each.get(Verdict.OK, 0) for each in counts)
        failed = accumulate(each.get(Verdict.FAILED, 0) for each in counts)
        stretches = list(zip(ok, failed, strict=True))
        return stretches[FIRST_STRETCH - 1 :] or stretches[-1:]

    def count_since(self, endpoint: EndpointKey, now: int, *, since: int) -> tuple[int, int]:
        """Return how many attempts (succeeded, failed) in the minutes that began after `since`."""
        seen = self._sum(MINUTES, [s for s in MINUTES.starts(now) if s >= since], endpoint)
        return seen.get(Verdict.OK, 0), seen.get(Verdict.FAILED, 0)

    def find_recent_endpoints(self, now: int) -> set[EndpointKey]:
        return self._endpoints(MOMENTS, MOMENTS.starts(now))

    def compute_stats(self, now: int) -> dict[EndpointKey, EndpointStats]:
        """Return the stats by endpoint; computed again where counts or windows changed."""
        written = (MINUTES.open_starts(now), HOURS.open_starts(now))
        if written != self._written:
            self._written = written
            self._closed, self._stats = {}, {}
            minutes = self._endpoints(MINUTES, MINUTES.starts(now))
            self._changed = minutes | self._endpoints(HOURS, HOURS.starts(now))
        for endpoint in self._changed:
            self._stats[endpoint] = self._compute(endpoint, now)
        self._changed = set()
        return self._stats

    def _endpoints(self, resolution: Resolution, starts: Iterable[int]) -> set[EndpointKey]:
        spans = (self._spans.get((resolution.name, start), {}) for start in starts)
        return {endpoint for span in spans for endpoint in span}

    def _sum(self, resolution: Resolution, starts: Iterable[int], endpoint: EndpointKey) -> Counts:
        spans = (self._spans.get((resolution.name, start), {}) for start in starts)
        return _add(*(span[endpoint] for span in spans if endpoint in span))

    def _compute(self, endpoint: EndpointKey, now: int) -> EndpointStats:
        closed = self._closed.get(endpoint)
        if closed is None:
            closed = self._closed[endpoint] = self._sum_closed(endpoint, now)
        minutes, hours = self._written
        latest = self._sum(MINUTES, minutes, endpoint)
        return _stats(
            _Sums(
                _add(closed.five, latest),
                _add(closed.thirty, latest),
                _add(closed.day, self._sum(HOURS, hours, endpoint)),
            )
        )

    def _sum_closed(self, endpoint: EndpointKey, now: int) -> _Sums:
        minutes = [start for start in MINUTES.starts(now) if start not in self._written[0]]
        hours = [start for start in HOURS.starts(now) if start not in self._written[1]]
        recent = MINUTES.starts(now)[-FIVE - 1]
        five = [start for start in minutes if start >= recent]
        return _Sums(
            self._sum(MINUTES, five, endpoint),
            self._sum(MINUTES, minutes, endpoint),
            self._sum(HOURS, hours, endpoint),
        )


def _add(*parts: Counts) -> Counts:
    total: Counts = {}
    for part in parts:
        for code, seen in part.items():
            total[code] = total.get(code, 0) + seen
    return total


def _stats(sums: _Sums) -> EndpointStats:
    five, thirty = sums.five, sums.thirty
    limited = five.get(Verdict.LIMITED, 0)
    answered = _count_attempts(five) + limited
    return EndpointStats(
        uptime_5m=_compute_uptime(five),
        uptime_30m=_compute_uptime(thirty),
        uptime_1d=_compute_uptime(sums.day),
        attempts_5m=_count_attempts(five),
        latency_5m=_compute_latency(five),
        latency_30m=_compute_latency(thirty),
        throughput_5m=_compute_throughput(five),
        throughput_30m=_compute_throughput(thirty),
        rate_limited_5m=limited / answered if answered else 0.0,
    )


def add_circuits(
    stats: Mapping[EndpointKey, EndpointStats],
    circuits: Mapping[EndpointKey, Breaker],
    pauses: Mapping[EndpointKey, Pause],
    in_flight: Mapping[EndpointKey, int],
    now: int,
) -> dict[EndpointKey, EndpointStats]:
    """Add circuits, pauses and calls in flight to the stats.

    A disabled credential opens the circuits of all known endpoints of its provider.
    """
    found = dict(stats)
    disabled = {provider for provider, model in circuits if model == WHOLE_PROVIDER}
    affected = {endpoint for endpoint in stats if endpoint[0] in disabled} if disabled else set()
    for endpoint in {*circuits, *pauses, *in_flight, *affected}:
        known = stats.get(endpoint, NO_STATS)
        changed = replace(known, in_flight=in_flight.get(endpoint, 0))
        pause = pauses.get(endpoint)
        if pause is not None and pause.until > now:
            changed = replace(_add_pause(changed, pause.until, Circuit.CLOSED, now), pause=pause)
        for key in (endpoint, (endpoint[0], WHOLE_PROVIDER)):
            if (breaker := circuits.get(key)) is not None:
                changed = _add_pause(changed, breaker.until, _find_circuit(breaker, now), now)
        found[endpoint] = changed
    return found


def _find_circuit(breaker: Breaker, now: int) -> Circuit:
    """Return a breaker's position for routing: while a probe runs, the circuit is open."""
    circuit = breaker.circuit(now)
    is_probed = circuit is Circuit.HALF_OPEN and not breaker.allows_probe(now)
    return Circuit.OPEN if is_probed else circuit


def _add_pause(known: EndpointStats, until: int, circuit: Circuit, now: int) -> EndpointStats:
    """Return the stats with the later pause and the worse circuit."""
    later = max(known.paused_until, until if until > now else 0)
    worse = max(circuit, known.circuit, key=_RANK.index)
    return replace(known, paused_until=later, circuit=worse)


_RANK = (Circuit.CLOSED, Circuit.HALF_OPEN, Circuit.OPEN)


def _count_attempts(counts: Counts) -> int:
    return counts.get(Verdict.OK, 0) + counts.get(Verdict.FAILED, 0)


def _compute_uptime(counts: Counts) -> float | None:
    counted = _count_attempts(counts)
    return counts.get(Verdict.OK, 0) / counted if counted else None


def _compute_latency(counts: Counts) -> Percentiles | None:
    found = buckets.compute_percentiles(buckets.find_histogram(counts, buckets.WAIT))
    if found is None:
        return None
    return Percentiles(found.p50 / 1000, found.p75 / 1000, found.p90 / 1000, found.p99 / 1000)


def _compute_throughput(counts: Counts) -> Percentiles | None:
    return buckets.compute_percentiles(buckets.find_histogram(counts, buckets.SPEED), falling=True)
