"""The default order: each endpoint's share of the traffic, and a draw by shares.

After OpenRouter's description of its own (docs, "Provider selection"): a price adjusted by speed,
reliability and rate limits; the square of it decides; nobody's share is ever nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from broker.providers.endpoint_stats import Evidence
from broker.routing.candidates import Candidate, duration, reliability
from broker.routing.demand import Needs

EXPLORATION = 0.01
"""No share is smaller than this part of the largest: what nobody asks, nobody learns about."""

SPEED_WEIGHT = 0.5
"""Twice as fast may cost the square root of two as much."""

FAILURE_WEIGHT = 4
"""An endpoint that serves half of its calls counts as sixteen times as dear."""

FREE_SHARE = 0.01
"""What is free counts as this part of the dearest price."""


def shares(candidates: Sequence[Candidate], needs: Needs) -> list[float]:
    """Return each candidate's share of the traffic; together they are 1."""
    weights = [price**-2 for price in _adjusted_prices(candidates, needs)]
    least = max(weights) * EXPLORATION
    raised = [max(weight, least) for weight in weights]
    total = sum(raised)
    return [weight / total for weight in raised]


@dataclass(frozen=True, slots=True)
class Dice:
    """Random draws that the same seed repeats; costs nothing until it is thrown."""

    seed: int

    def draw(self, weights: Sequence[float]) -> list[float]:
        """Return sort keys of a random order in which each place goes by the shares of those left.

        (An exponential clock with each weight as its rate: Efraimidis and Spirakis, 2006.)
        """
        dice = Random(self.seed)  # noqa: S311  # it spreads load, and must be repeatable
        return [-math.log(1.0 - dice.random()) / weight for weight in weights]


def _adjusted_prices(candidates: Sequence[Candidate], needs: Needs) -> list[float]:
    costs = _costs(candidates)
    times = [duration(each.evidence, needs.likely_output) for each in candidates]
    known = [time for time in times if time is not None]
    typical = max(median(known), 0.001) if known else 1.0
    return [
        cost * _slowness(time, typical) * _trouble(each.evidence)
        for cost, time, each in zip(costs, times, candidates, strict=True)
    ]


def _costs(candidates: Sequence[Candidate]) -> list[float]:
    """Return costs above zero; one that nobody knows counts as typical."""
    known = [each.cost for each in candidates if each.cost is not None]
    typical = median(known) if known else 1.0
    floor = max(known, default=0.0) * FREE_SHARE or 1.0
    return [max(typical if each.cost is None else each.cost, floor) for each in candidates]


def _slowness(time: float | None, typical: float) -> float:
    """Return what the price is multiplied by; nothing measured looks like a typical peer."""
    return 1.0 if time is None else float(max(time / typical, 0.01) ** SPEED_WEIGHT)


def _trouble(evidence: Evidence) -> float:
    chance = max(reliability(evidence), 0.05)
    return float(chance**-FAILURE_WEIGHT * (1.0 + evidence.rate_limited_5m))
