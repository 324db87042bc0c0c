"""An endpoint that may serve a request, with its expected cost, speed and health."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from broker.pricing import Price
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint
from broker.requests import parameters
from broker.routing.preferences import NO_PREFERENCES, Preferences
from broker.routing.requirements import Requirements
from broker.values import immutable

PROBE_EVERY = 10
"""One plan in this many leaves an endpoint with a half-open circuit in its usual position."""

CACHED_SHARE = 0.9
"""The share of a conversation's prompt that the prompt cache holds: all but the newest message."""

PRIOR_ATTEMPTS = 5
"""The weight of older stats, in attempts, when the last five minutes had few."""

MILLION = 1_000_000


class Candidate(NamedTuple):
    """An endpoint with its expectations for one request."""

    endpoint: Endpoint
    stats: EndpointStats
    rank: int  # of its model among the requested ones
    cost: float | None  # nano-dollars; None: unknown in advance
    is_cached: bool  # it has the conversation's prompt cache
    health: int  # 0: may be called; 1: should wait; 2: fails
    lacking: int  # the number of missing capabilities
    unmet: int  # the number of missed preferences
    doubts: tuple[str, ...]  # descriptions of the above


@immutable
class Assessor:
    """Builds candidates for one request, at one moment."""

    requirements: Requirements
    preferences: Preferences
    snapshot: Snapshot
    affinity: Mapping[str, str]  # model slug → the provider with the conversation's cache
    probing: bool  # this request may be a probe

    def build_candidate(self, endpoint: Endpoint, rank: int) -> Candidate:
        stats = self.snapshot.find(endpoint.provider, endpoint.model)
        is_cached = self.affinity.get(endpoint.model) == endpoint.provider
        health, problems = self._find_health(stats)
        lacking = self._list_lacking(endpoint)
        unmet = () if self.preferences is NO_PREFERENCES else self._list_unmet(stats)
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
            (*problems, *lacking, *unmet),
        )

    def find_health(self, endpoint: Endpoint) -> int:
        """Return the endpoint's health on the scale of `Candidate.health`."""
        return self._find_health(self.snapshot.find(endpoint.provider, endpoint.model))[0]

    def _find_health(self, stats: EndpointStats) -> tuple[int, tuple[str, ...]]:
        waits = stats.paused_until > self.snapshot.taken_at
        if stats.circuit is Circuit.CLOSED:
            return (1, ("paused: rate limited",)) if waits else (0, ())
        if stats.circuit is Circuit.OPEN and (waits or not stats.paused_until):
            return 2, ("its circuit is open: it failed too often",)
        if self.probing and not waits:
            return 0, ("its circuit is half open: this is a probe",)
        return 1, ("its circuit is half open: only probes call it",)

    def _list_lacking(self, endpoint: Endpoint) -> Sequence[str]:
        preferred = self.requirements.parameters & parameters.PREFERRED
        lacking = (
            [f"lacks {name}" for name in sorted(endpoint.lacks(preferred))] if preferred else []
        )
        context = endpoint.context_length
        if (
            context is not None
            and self.requirements.input_tokens + (self.requirements.output_tokens or 0) > context
        ):
            lacking.append(f"its context of {context:,} tokens may be too small")
        return lacking

    def _list_unmet(self, stats: EndpointStats) -> Sequence[str]:
        """Return the measured values that miss a preference, in words."""
        speed, wait = find_throughput(stats), find_latency(stats)
        unmet = []
        for name, minimum in self.preferences.min_throughput.items():
            if speed is not None and (measured := getattr(speed, name)) < minimum:
                unmet.append(f"{measured:.3g} tokens/s at {name}, {minimum:g} preferred")
        for name, maximum in self.preferences.max_latency.items():
            if wait is not None and (measured := getattr(wait, name)) > maximum:
                unmet.append(
                    f"{measured:.3g} s to the first token at {name}, {maximum:g} preferred"
                )
        return unmet


def estimate_cost(price: Price, inputs: int, outputs: int, *, cached: bool = False) -> float | None:
    """Return the estimated cost in nano-dollars, for comparisons only.

    Return None where the price is unknown before the answer.
    """
    if price.as_stated:
        return None
    rates = price.at(inputs) if price.tiers else price
    fresh: float = rates.prompt
    if cached and rates.cache_read is not None:
        fresh = CACHED_SHARE * rates.cache_read + (1 - CACHED_SHARE) * rates.prompt
    return (inputs * fresh + outputs * rates.completion) / MILLION + rates.request


def find_throughput(stats: EndpointStats) -> Percentiles | None:
    """Return output tokens per second by the most recent stats."""
    return stats.throughput_5m or stats.throughput_30m


def find_latency(stats: EndpointStats) -> Percentiles | None:
    """Return seconds to the first token by the most recent stats."""
    return stats.latency_5m or stats.latency_30m


def estimate_duration(stats: EndpointStats, outputs: int) -> float | None:
    """Return the median seconds for `outputs` tokens; None if not measured."""
    speed, wait = find_throughput(stats), find_latency(stats)
    if speed is None and wait is None:
        return None
    output_seconds = outputs / max(speed.p50, 0.001) if speed is not None else 0.0
    return output_seconds + (wait.p50 if wait is not None else 0.0)


def estimate_reliability(stats: EndpointStats) -> float:
    """Return the expected share of successful attempts; close to 1 with few attempts.

    It is 1 while the circuit is not closed, because health covers that case. Failures before a
    recovery do not count.
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
    attempts = stats.attempts_5m
    return (attempts * stats.uptime_5m + PRIOR_ATTEMPTS * prior) / (attempts + PRIOR_ATTEMPTS)
