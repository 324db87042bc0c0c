"""Recent statistics of endpoints, as plain values for routing. Pure.

`broker.providers.health` gathers them; None means that nothing was measured yet.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from broker.values import immutable

EndpointKey: TypeAlias = tuple[str, str]
"""(provider slug, model slug)."""

WHOLE_PROVIDER = "*"
"""The model in the key of a credential's circuit: it concerns all endpoints of the provider."""


class PauseReason(StrEnum):
    """The reason for a pause of an endpoint."""

    RATE_LIMITED = "rate_limited"  # it answered 429
    EXHAUSTED = "nothing_left"  # the headers of an answer reported that its limit is used up
    RETRY_AFTER = "asked_to_wait"  # it failed with a `Retry-After`


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which an endpoint is not called; `until` is in Unix ms."""

    until: int
    reason: PauseReason = PauseReason.RATE_LIMITED


class Circuit(StrEnum):
    """A breaker's position (the pattern's usual names)."""

    CLOSED = "closed"  # calls go through
    OPEN = "open"  # it failed far too often: no calls until its cool-down ends
    HALF_OPEN = "half_open"  # one probe at a time decides


@immutable
class Percentiles:
    """A measured distribution: p90 is the value that 90 % of the calls reached or bettered."""

    p50: float
    p75: float
    p90: float
    p99: float


@immutable
class EndpointStats:
    """The recent behaviour of one endpoint."""

    uptime_5m: float | None = None  # share of attempts that succeeded, 0 to 1
    uptime_30m: float | None = None
    uptime_1d: float | None = None
    attempts_5m: int = 0  # the number of attempts in the five-minute figures
    since_recovery: tuple[int, int] | None = None  # attempts that (succeeded, failed)
    latency_5m: Percentiles | None = None  # seconds to the first token
    latency_30m: Percentiles | None = None
    throughput_5m: Percentiles | None = None  # output tokens per second
    throughput_30m: Percentiles | None = None
    rate_limited_5m: float = 0.0  # share of attempts answered 429
    in_flight: int = 0
    circuit: Circuit = Circuit.CLOSED
    paused_until: int = 0  # Unix ms: a rate limit or an open circuit ends then
    pause: Pause | None = None  # by its rate limits; circuits are not included


NO_STATS = EndpointStats()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stats of all endpoints at one moment. Reading them needs no network."""

    endpoints: dict[EndpointKey, EndpointStats] = field(default_factory=dict)
    taken_at: int = 0  # Unix ms

    def find(self, provider: str, model: str) -> EndpointStats:
        """Return an endpoint's stats; one without any has the stats of its provider."""
        known = self.endpoints.get((provider, model))
        return known or self.endpoints.get((provider, WHOLE_PROVIDER), NO_STATS)

    def drop_ending_within(self, ms: int) -> "Snapshot":
        """Return the snapshot without the pauses and open circuits that end within `ms`."""
        soon = self.taken_at + ms
        later = {
            endpoint: replace(known, circuit=Circuit.CLOSED, paused_until=0, pause=None)
            for endpoint, known in self.endpoints.items()
            if (known.paused_until or known.circuit is not Circuit.CLOSED)
            and known.paused_until <= soon
        }
        return replace(self, endpoints=self.endpoints | later) if later else self


NO_SNAPSHOT = Snapshot()
