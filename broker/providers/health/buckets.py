"""Where counts are kept: one Redis hash for each span of time, which ends by expiry. Pure.

A field is `provider model code`, its value a count; a reader takes a whole hash, so nothing is ever
searched for, and memory is bounded by the endpoints in use times the spans kept.

    ok failed limited excused   attempts by verdict
    k:<error type>              failures by kind
    c:deviates                  answers whose cost the provider states otherwise than we compute it
    t<n>  s<n>                  histogram of the first token's wait (ms), of the speed (tokens/s)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from broker.providers.endpoint_stats import EndpointKey

PREFIX = "waybill:health:"
LATE_MS = 5_000  # a span may still be written to this long after its end

Counts: TypeAlias = dict[str, int]
"""Codes and how often each was seen."""

KIND, WAIT, SPEED = "k:", "t", "s"
COST_DEVIATES = "c:deviates"

OTHER = "other"
"""In place of the model, or of the provider: all that are not told by themselves."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Spans of one length, and how far back they are kept."""

    name: str
    span_ms: int
    spans: int

    def key(self, start: int) -> str:
        return f"{PREFIX}{self.name}:{start}"

    def start(self, moment: int) -> int:
        return moment - moment % self.span_ms

    def starts(self, now: int) -> list[int]:
        """Return the beginnings of all spans that are kept, oldest first, the current one last."""
        current = self.start(now)
        return [current - self.span_ms * back for back in range(self.spans, -1, -1)]

    def open(self, now: int) -> list[int]:
        """Return the beginnings of the spans that may still be written to."""
        return sorted({self.start(now - LATE_MS), self.start(now)})

    @property
    def lifetime_seconds(self) -> int:
        return (self.span_ms * (self.spans + 1) + 2 * LATE_MS) // 1000


MOMENTS = Resolution("moment", 5_000, 6)  # what breakers judge by
MINUTES = Resolution("minute", 60_000, 30)  # everything routing weighs
HOURS = Resolution("hour", 3_600_000, 24)  # uptime of a day
RESOLUTIONS = (MOMENTS, MINUTES, HOURS)


def field(endpoint: EndpointKey, code: str) -> str:
    provider, model = endpoint
    return f"{provider} {model} {code}"


def read(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, Counts]:
    """Return the counts of one hash by endpoint."""
    found: dict[EndpointKey, Counts] = {}
    for name, value in stored.items():
        endpoint, _, code = name.decode().rpartition(" ")
        provider, _, model = endpoint.partition(" ")
        found.setdefault((provider, model), {})[code] = int(value)
    return found


def is_total(field: str) -> bool:
    """Tell whether a field counts attempts, not the buckets of a histogram."""
    code = field.rpartition(" ")[2]
    return code.isalpha() or code.startswith(KIND) or code == COST_DEVIATES


def histogram(counts: Counts, letter: str) -> dict[int, int]:
    """Return the histogram kept under this letter: counts by bucket."""
    return {
        int(code[1:]): seen
        for code, seen in counts.items()
        if code[0] == letter and code[1:].lstrip("-").isdecimal()
    }
