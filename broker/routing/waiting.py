"""Choose the plan step at which a job waits that cannot be sent now. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from broker.providers.endpoint_stats import EndpointKey
from broker.providers.pacing.limits import Busy, Cause
from broker.routing.plans import Plan

WORTH_MOVING_MS = 250
"""A job leaves its step only for one that is free at least this much earlier."""

ABSENT_MS = 30_000
"""The time until a provider that is not configured is looked up again."""


def absent(provider: str, now: int) -> Busy:
    """Return the wait reason for a provider that was removed from the configuration."""
    return Busy(provider, Cause.NOT_CONFIGURED, now + ABSENT_MS)


@dataclass(frozen=True, slots=True)
class Congestion:
    """The times until which providers and endpoints are busy, in Unix milliseconds."""

    providers: Mapping[str, Busy] = field(default_factory=dict)
    endpoints: Mapping[EndpointKey, Busy] = field(default_factory=dict)
    configured: Collection[str] | None = None  # the providers there are, where that is known

    def at(self, provider: str, model: str, now: int) -> Busy | None:
        """Return what an endpoint waits for the longest."""
        if self.configured is not None and provider not in self.configured:
            return absent(provider, now)
        found = (self.providers.get(provider), self.endpoints.get((provider, model)))
        return max((busy for busy in found if busy), key=lambda busy: busy.until, default=None)


@dataclass(frozen=True, slots=True)
class StepChoice:
    """A position in the plan, free at `at` (Unix ms); `busy` says what it waits for."""

    position: int
    at: int
    busy: Busy | None = None


def best_step(
    plan: Plan,
    position: int,
    congestion: Congestion,
    now: int,
    closed: Collection[int] = (),
) -> StepChoice:
    """Return the step that is free soonest: the present one unless another is clearly sooner.

    Positions in `closed` are not chosen.
    """
    here = _step(plan, position, congestion, now)
    others = [
        _step(plan, other, congestion, now)
        for other in range(len(plan))
        if other != position and other not in closed
    ]
    soonest = min(others, key=lambda step: (step.at, step.position), default=here)
    return soonest if soonest.at + WORTH_MOVING_MS <= here.at else here


def _step(plan: Plan, position: int, congestion: Congestion, now: int) -> StepChoice:
    endpoint = plan[position]
    busy = congestion.at(*endpoint.key, now)
    return StepChoice(position, max(busy.until, now) if busy else now, busy)
