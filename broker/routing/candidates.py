"""An endpoint that may serve a request, with its expected cost, speed and health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.pricing import Price
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint
from broker.requests import parameters
from broker.routing.preferences import NO_PREFERENCES, Preferences
from broker.routing.requirements import Requirements

PROBE_EVERY = 10
"""One plan of this many keeps an endpoint that may have recovered in its usual position."""

CACHED_SHARE = 0.9
"""The share of a conversation's prompt that the prompt cache holds: all but the newest message."""

PRIOR_ATTEMPTS = 5
"""The weight of older stats, in attempts, when the last five minutes had few."""

MILLION = 1_000_000


class Candidate(NamedTuple):
    """An endpoint with its expectations for one request."""

    endpoint: Endpoint
    stats: EndpointStats
    rank: int  # of its model among those asked for
    cost: float | None  # nano-dollars; None: nobody knows in advance
    is_cached: bool  # the conversation's cache is there
    health: int  # 0 may be called; 1 had better wait; 2 is known to fail
    lacking: int  # things wanted of it, in vain
    unmet: int  # preferences it does not meet
    doubts: tuple[str, ...]  # in words


@dataclass(frozen=True, slots=True)
class Assessor:
    """Judges endpoints for one request, at one moment."""

    requirements: Requirements
    preferences: Preferences
    snapshot: Snapshot
    affinity: Mapping[str, str]  # model slug → the provider whose cache knows the conversation
    probing: bool  # this request may be a probe

    def candidate(self, endpoint: Endpoint, rank: int) -> Candidate:
        stats = self.snapshot.find(endpoint.provider, endpoint.model)
        is_cached = self.affinity.get(endpoint.model) == endpoint.provider
        health, illness = self._health(stats)
        lacking = self._lacking(endpoint)
        unmet = () if self.preferences is NO_PREFERENCES else self._unmet(stats)
        return Candidate(
            endpoint,
            stats,
            rank,
            estimate_cost(
                endpoint.price,
                self.requirements.input_tokens,
                self.requirements.likely_output,
                cached=is_cached,
            ),
            is_cached,
            health,
            len(lacking),
            len(unmet),
            (*illness, *lacking, *unmet),
        )

    def health(self, endpoint: Endpoint) -> int:
        """Return the endpoint's health on the scale of `Candidate.health`."""
        return self._health(self.snapshot.find(endpoint.provider, endpoint.model))[0]

    def _health(self, stats: EndpointStats) -> tuple[int, tuple[str, ...]]:
        waits = stats.paused_until > self.snapshot.taken_at
        if stats.circuit is Circuit.CLOSED:
            return (1, ("paused: rate limited",)) if waits else (0, ())
        if stats.circuit is Circuit.OPEN and (waits or not stats.paused_until):
            return 2, ("its circuit is open: it failed too often",)
        if self.probing and not waits:
            return 0, ("its circuit is half open: this is a probe",)
        return 1, ("its circuit is half open: left to probes",)

    def _lacking(self, endpoint: Endpoint) -> Sequence[str]:
        preferred = self.requirements.parameters & parameters.PREFERRED
        lacking = (
            [f"lacks {name}" for name in sorted(endpoint.lacks(preferred))] if preferred else []
        )
        room = endpoint.context_length
        if (
            room is not None
            and self.requirements.input_tokens + (self.requirements.output_tokens or 0) > room
        ):
            lacking.append(f"its context of {room:,} tokens may be too small")
        return lacking

    def _unmet(self, stats: EndpointStats) -> Sequence[str]:
        """Return the measured values that miss a preference, in words."""
        speed, wait = throughput(stats), latency(stats)
        unmet = []
        for name, least in self.preferences.min_throughput.items():
            if speed is not None and (measured := getattr(speed, name)) < least:
                unmet.append(f"{measured:.3g} tokens/s at {name}, {least:g} preferred")
        for name, most in self.preferences.max_latency.items():
            if wait is not None and (measured := getattr(wait, name)) > most:
                unmet.append(f"{measured:.3g} s to the first token at {name}, {most:g} preferred")
        return unmet


def estimate_cost(price: Price, inputs: int, outputs: int, *, cached: bool = False) -> float | None:
    """Return about what so many tokens cost there, in nano-dollars: to compare, not to charge.

    None where the price is not known before the answer.
    """
    if price.as_stated:
        return None
    rates = price.at(inputs) if price.tiers else price
    fresh: float = rates.prompt
    if cached and rates.cache_read is not None:
        fresh = CACHED_SHARE * rates.cache_read + (1 - CACHED_SHARE) * rates.prompt
    return (inputs * fresh + outputs * rates.completion) / MILLION + rates.request


def throughput(stats: EndpointStats) -> Percentiles | None:
    """Return output tokens per second, as recently measured as there is."""
    return stats.throughput_5m or stats.throughput_30m


def latency(stats: EndpointStats) -> Percentiles | None:
    """Return seconds to the first token, as recently measured as there is."""
    return stats.latency_5m or stats.latency_30m


def duration(stats: EndpointStats, outputs: int) -> float | None:
    """Return the seconds that so many tokens take at the median, where that was measured."""
    speed, wait = throughput(stats), latency(stats)
    if speed is None and wait is None:
        return None
    writing = outputs / max(speed.p50, 0.001) if speed is not None else 0.0
    return writing + (wait.p50 if wait is not None else 0.0)


def reliability(stats: EndpointStats) -> float:
    """Return the share of attempts to expect a success of; with little evidence close to 1.

    A circuit that is not closed says enough by itself: a probe is there to find out anew. What
    failed before a recovery is forgiven.
    """
    if stats.circuit is not Circuit.CLOSED:
        return 1.0
    if stats.since_recovery is not None:
        ok, failed = stats.since_recovery
        return (ok + PRIOR_ATTEMPTS) / (ok + failed + PRIOR_ATTEMPTS)
    before = stats.uptime_30m if stats.uptime_30m is not None else stats.uptime_1d
    prior = 1.0 if before is None else before
    if stats.uptime_5m is None:
        return prior
    seen = stats.attempts_5m
    return (seen * stats.uptime_5m + PRIOR_ATTEMPTS * prior) / (seen + PRIOR_ATTEMPTS)
