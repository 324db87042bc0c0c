"""Counts in Redis hashes for spans of time, and distributions as counts by bucket. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from broker.providers.endpoint_stats import EndpointKey, Percentiles

PER_DOUBLING = 4
LOWEST, HIGHEST = -16, 128  # 1/16 and 4 billion: more than any wait in ms or speed in tokens/s


def find_bucket(value: float) -> int:
    """Return the bucket of a measured value; values that are not positive are in the lowest."""
    if value <= 0:
        return LOWEST
    return min(max(math.floor(math.log2(value) * PER_DOUBLING), LOWEST), HIGHEST)


def find_middle(number: int) -> float:
    """Return the logarithmic middle of a bucket's range."""
    return float(2.0 ** ((number + 0.5) / PER_DOUBLING))


def compute_percentiles(counts: Mapping[int, int], *, falling: bool = False) -> Percentiles | None:
    """Return the percentiles of the measured values; None without any.

    p90 is the value that 90 % of the values stayed below, or, for values of which more is better
    (`falling`), the value that 90 % exceeded.
    """
    total = sum(counts.values())
    if not total:
        return None
    ordered = sorted(counts, reverse=falling)
    return Percentiles(
        *(_find_quantile(counts, ordered, share * total) for share in (0.5, 0.75, 0.9, 0.99))
    )


def _find_quantile(counts: Mapping[int, int], ordered: list[int], rank: float) -> float:
    passed = 0
    for number in ordered:
        passed += counts[number]
        if passed >= rank:
            return find_middle(number)
    return find_middle(ordered[-1])


PREFIX = "waybill:health:"
WRITABLE_MS = 5_000  # a span may still be written to this long after its end

Counts: TypeAlias = dict[str, int]
"""The number of occurrences of each code."""

KIND, WAIT, SPEED = "k:", "t", "s"
COST_DEVIATES = "c:deviates"

OTHER = "other"
"""Instead of a model or a provider: all that are not counted by their names."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Spans of one length; `spans` of them are kept."""

    name: str
    span_ms: int
    spans: int

    def key(self, start: int) -> str:
        return f"{PREFIX}{self.name}:{start}"

    def start(self, moment: int) -> int:
        return moment - moment % self.span_ms

    def starts(self, now: int) -> list[int]:
        """Return the starts of all spans that are kept, the oldest first, the current one last."""
        current = self.start(now)
        return [current - self.span_ms * back for back in range(self.spans, -1, -1)]

    def open_starts(self, now: int) -> list[int]:
        """Return the starts of the spans that may still be written to."""
        return sorted({self.start(now - WRITABLE_MS), self.start(now)})

    @property
    def lifetime_seconds(self) -> int:
        return (self.span_ms * (self.spans + 1) + 2 * WRITABLE_MS) // 1000


MOMENTS = Resolution("moment", 5_000, 6)  # for circuit breakers
MINUTES = Resolution("minute", 60_000, 30)  # for routing
HOURS = Resolution("hour", 3_600_000, 24)  # for the uptime of a day
RESOLUTIONS = (MOMENTS, MINUTES, HOURS)


def encode_field(endpoint: EndpointKey, code: str) -> str:
    provider, model = endpoint
    return f"{provider} {model} {code}"


def decode_counts(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, Counts]:
    """Return the counts of one hash by endpoint."""
    found: dict[EndpointKey, Counts] = {}
    for name, value in stored.items():
        endpoint, _, code = name.decode().rpartition(" ")
        provider, _, model = endpoint.partition(" ")
        found.setdefault((provider, model), {})[code] = int(value)
    return found


def is_total(field: str) -> bool:
    """Return whether a field counts attempts, not the buckets of a histogram."""
    code = field.rpartition(" ")[2]
    return code.isalpha() or code.startswith(KIND) or code == COST_DEVIATES


def find_histogram(counts: Counts, letter: str) -> dict[int, int]:
    """Return the histogram with this letter: counts by bucket."""
    return {
        int(code[1:]): seen
        for code, seen in counts.items()
        if code[0] == letter and code[1:].lstrip("-").isdecimal()
    }
