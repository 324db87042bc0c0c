"""An endpoint that may serve a request, and what is to be expected of it there."""

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
"""One plan in so many asks an endpoint that may have recovered in its usual place."""

WARM_SHARE = 0.9
"""How much of a conversation's prompt its warm cache holds: all but the newest message."""

PRIOR_ATTEMPTS = 5
"""How many attempts a longer memory weighs as, when the last five minutes saw few."""

MILLION = 1_000_000


class Candidate(NamedTuple):
    """An endpoint with its expectations for one request."""

    endpoint: Endpoint
    evidence: EndpointStats
    rank: int  # of its model among those asked for
    cost: float | None  # nano-dollars; None: nobody knows in advance
    warm: bool  # the conversation's cache is there
    health: int  # 0 may be called; 1 had better wait; 2 is known to fail
    lacking: int  # things wanted of it, in vain
    unmet: int  # preferences it does not meet
    doubts: tuple[str, ...]  # in words


@dataclass(frozen=True, slots=True)
class Assessor:
    """Judges endpoints for one request, at one moment."""

    needs: Requirements
    wishes: Preferences
    snapshot: Snapshot
    warm: Mapping[str, str]  # model slug → the provider whose cache knows the conversation
    probing: bool  # this request may be a probe

    def candidate(self, endpoint: Endpoint, rank: int) -> Candidate:
        evidence = self.snapshot.of(endpoint.provider, endpoint.model)
        warm = self.warm.get(endpoint.model) == endpoint.provider
        health, illness = self._health(evidence)
        lacking = self._lacking(endpoint)
        unmet = () if self.wishes is NO_PREFERENCES else self._unmet(evidence)
        return Candidate(
            endpoint,
            evidence,
            rank,
            expected_cost(
                endpoint.price, self.needs.input_tokens, self.needs.likely_output, warm=warm
            ),
            warm,
            health,
            len(lacking),
            len(unmet),
            (*illness, *lacking, *unmet),
        )

    def health(self, endpoint: Endpoint) -> int:
        """Return whether it may be called, as `Candidate.health` has it."""
        return self._health(self.snapshot.of(endpoint.provider, endpoint.model))[0]

    def _health(self, evidence: EndpointStats) -> tuple[int, tuple[str, ...]]:
        waits = evidence.paused_until > self.snapshot.taken_at
        if evidence.circuit is Circuit.CLOSED:
            return (1, ("paused: rate limited",)) if waits else (0, ())
        if evidence.circuit is Circuit.OPEN and (waits or not evidence.paused_until):
            return 2, ("its circuit is open: it failed too often",)
        if self.probing and not waits:
            return 0, ("its circuit is half open: this is a probe",)
        return 1, ("its circuit is half open: left to probes",)

    def _lacking(self, endpoint: Endpoint) -> Sequence[str]:
        preferred = self.needs.parameters & parameters.PREFERRED
        lacking = (
            [f"lacks {name}" for name in sorted(endpoint.lacks(preferred))] if preferred else []
        )
        room = endpoint.context_length
        if room is not None and self.needs.input_tokens + (self.needs.output_tokens or 0) > room:
            lacking.append(f"its context of {room:,} tokens may be too small")
        return lacking

    def _unmet(self, evidence: EndpointStats) -> Sequence[str]:
        """Say what was measured and is not as preferred; what was not measured may be."""
        speed, wait = throughput(evidence), latency(evidence)
        unmet = []
        for name, least in self.wishes.min_throughput.items():
            if speed is not None and (measured := getattr(speed, name)) < least:
                unmet.append(f"{measured:.3g} tokens/s at {name}, {least:g} preferred")
        for name, most in self.wishes.max_latency.items():
            if wait is not None and (measured := getattr(wait, name)) > most:
                unmet.append(f"{measured:.3g} s to the first token at {name}, {most:g} preferred")
        return unmet


def expected_cost(price: Price, inputs: int, outputs: int, *, warm: bool = False) -> float | None:
    """Return about what so many tokens cost there, in nano-dollars: to compare, not to charge.

    None where the price is not known before the answer.
    """
    if price.as_stated:
        return None
    rates = price.at(inputs) if price.tiers else price
    fresh: float = rates.prompt
    if warm and rates.cache_read is not None:
        fresh = WARM_SHARE * rates.cache_read + (1 - WARM_SHARE) * rates.prompt
    return (inputs * fresh + outputs * rates.completion) / MILLION + rates.request


def throughput(evidence: EndpointStats) -> Percentiles | None:
    """Return output tokens per second, as recently measured as there is."""
    return evidence.throughput_5m or evidence.throughput_30m


def latency(evidence: EndpointStats) -> Percentiles | None:
    """Return seconds to the first token, as recently measured as there is."""
    return evidence.latency_5m or evidence.latency_30m


def duration(evidence: EndpointStats, outputs: int) -> float | None:
    """Return the seconds that so many tokens take at the median, where that was measured."""
    speed, wait = throughput(evidence), latency(evidence)
    if speed is None and wait is None:
        return None
    writing = outputs / max(speed.p50, 0.001) if speed is not None else 0.0
    return writing + (wait.p50 if wait is not None else 0.0)


def reliability(evidence: EndpointStats) -> float:
    """Return the share of attempts to expect a success of; with little evidence close to 1.

    A circuit that is not closed says enough by itself: a probe is there to find out anew. What
    failed before a recovery is forgiven.
    """
    if evidence.circuit is not Circuit.CLOSED:
        return 1.0
    if evidence.since_recovery is not None:
        ok, failed = evidence.since_recovery
        return (ok + PRIOR_ATTEMPTS) / (ok + failed + PRIOR_ATTEMPTS)
    before = evidence.uptime_30m if evidence.uptime_30m is not None else evidence.uptime_1d
    prior = 1.0 if before is None else before
    if evidence.uptime_5m is None:
        return prior
    seen = evidence.attempts_5m
    return (seen * evidence.uptime_5m + PRIOR_ATTEMPTS * prior) / (seen + PRIOR_ATTEMPTS)
