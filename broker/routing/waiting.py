"""Choose the plan step of a job that cannot be sent now. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from broker.providers.endpoint_stats import EndpointKey
from broker.providers.pacing.limits import Busy, Cause
from broker.routing.plans import Plan

MIN_GAIN_MS = 250
"""A job leaves its step only for one that is free at least this much earlier."""

ABSENT_RETRY_MS = 30_000
"""The time until a provider that is not configured is looked up again."""


def build_absent(provider: str, now: int) -> Busy:
    """Return the wait reason for a provider that was removed from the configuration."""
    return Busy(provider, Cause.NOT_CONFIGURED, now + ABSENT_RETRY_MS)


@dataclass(frozen=True, slots=True)
class Congestion:
    """The times until which providers and endpoints are busy, in Unix milliseconds."""

    providers: Mapping[str, Busy] = field(default_factory=dict)
    endpoints: Mapping[EndpointKey, Busy] = field(default_factory=dict)
    configured: Collection[str] | None = None  # None: unknown

    def find_busy(self, provider: str, model: str, now: int) -> Busy | None:
        """Return the longest wait of an endpoint; None if it is free."""
        if self.configured is not None and provider not in self.configured:
            return build_absent(provider, now)
        found = (self.providers.get(provider), self.endpoints.get((provider, model)))
        return max((busy for busy in found if busy), key=lambda busy: busy.until, default=None)


@dataclass(frozen=True, slots=True)
class StepChoice:
    """A position in the plan, free at `at` (Unix ms); `busy` is the reason to wait."""

    position: int
    at: int
    busy: Busy | None = None


def choose_step(
    plan: Plan,
    position: int,
    congestion: Congestion,
    now: int,
    closed: Collection[int] = (),
) -> StepChoice:
    """Return the step that is free soonest; the current one unless another is clearly sooner.

    Positions in `closed` are not chosen.
    """
    current = _find_step(plan, position, congestion, now)
    alternatives = [
        _find_step(plan, index, congestion, now)
        for index in range(len(plan))
        if index != position and index not in closed
    ]
    soonest = min(alternatives, key=lambda step: (step.at, step.position), default=current)
    return soonest if soonest.at + MIN_GAIN_MS <= current.at else current


def _find_step(plan: Plan, position: int, congestion: Congestion, now: int) -> StepChoice:
    endpoint = plan[position]
    busy = congestion.find_busy(*endpoint.key, now)
    return StepChoice(position, max(busy.until, now) if busy else now, busy)
