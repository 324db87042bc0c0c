"""The auto router: which models serve a request best, best first, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any, TypeAlias

from broker.completion import Json
from broker.routing.auto_wishes import COST_TIERS, FREE, PARETO, AutoWishes
from broker.routing.candidates import Assessor, Candidate, duration
from broker.routing.endpoint import Endpoint
from broker.routing.filters import Exclusion, Filter, costs_nothing, sift
from broker.routing.preferences import Sort

MOST_CHOICES = 4  # the pick and its fallbacks
UNRATED = 0.5

Fits: TypeAlias = Mapping[str, Mapping[str, float]]
"""Model slug → kind of task → how well it does it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Option:
    """A model that could serve the request: as its best endpoint would."""

    slug: str
    fit: float
    cost: float | None  # nano-dollars
    seconds: float | None
    health: int


@dataclass(frozen=True, slots=True)
class Router:
    """One router at work on one request."""

    kind: str  # auto, free or pareto-code
    wishes: AutoWishes
    fits: Fits
    assessor: Assessor
    conditions: Sequence[Filter]
    sort: Sort | None
    seed: int

    def choose(
        self, served: Mapping[str, Sequence[Endpoint]]
    ) -> tuple[list[str], Json, list[Exclusion]]:
        """Return slugs, best first, what is told of the choice, and who could not be chosen."""
        options, excluded = self._options(served)
        ranked, why = self._ranked(options)
        ranked.sort(key=lambda option: option.health)  # stable: what fails now goes last
        picks = [option.slug for option in ranked[:MOST_CHOICES]]
        told = {
            "router": self.kind,
            "task": self.wishes.task,
            "considered": len(options),
            "chosen": picks[:1],
            "fallbacks": picks[1:],
            "why": why,
        }
        return picks, told, excluded

    def _options(
        self, served: Mapping[str, Sequence[Endpoint]]
    ) -> tuple[list[Option], list[Exclusion]]:
        options, excluded = [], []
        for slug in self._choosable(served):
            kept, stopped = sift(served[slug], self.conditions)
            excluded += stopped
            if kept:
                options.append(self._option(slug, kept))
        return options, excluded

    def _choosable(self, served: Mapping[str, Sequence[Endpoint]]) -> list[str]:
        """Return the models that may be chosen: rated ones, unless a caller names others."""
        allowed = [slug for slug in served if self.wishes.allows(slug)]
        if self.kind == FREE:
            return [s for s in allowed if any(costs_nothing(each.price) for each in served[s])]
        if self.kind == PARETO:
            least = self.wishes.least_code
            return [s for s in allowed if self.fits.get(s, {}).get("code", 0.0) >= least]
        rated = [slug for slug in allowed if slug in self.fits]
        return allowed if self.wishes.allowed or not rated else rated

    def _option(self, slug: str, endpoints: Sequence[Endpoint]) -> Option:
        found: list[Candidate] = [self.assessor.candidate(each, 0) for each in endpoints]
        costs = [each.cost for each in found if each.cost is not None]
        times = [duration(each.evidence, self.assessor.needs) for each in found]
        return Option(
            slug,
            self.fits.get(slug, {}).get(self.wishes.task, UNRATED),
            min(costs, default=None),
            min((time for time in times if time is not None), default=None),
            min(each.health for each in found),
        )

    def _ranked(self, options: Sequence[Option]) -> tuple[list[Option], str]:
        by_cost = sorted(options, key=_cost)
        if self.kind == FREE:
            shuffled = list(by_cost)
            Random(self.seed).shuffle(shuffled)  # noqa: S311  # it spreads load, repeatably
            return shuffled, "a free model that can serve it, at random"
        if self.kind == PARETO:
            return by_cost, "the cheapest of the good coders"
        if self.sort is Sort.PRICE:
            return by_cost, "the cheapest that can serve it"
        if self.sort in (Sort.THROUGHPUT, Sort.LATENCY):
            return _by_speed(options), "the fastest that can serve it"
        why = f"the best at {self.wishes.task} among those of {self.wishes.cost_tier} cost"
        return _by_fit(by_cost, self.wishes.cost_tier), why


def _cost(option: Option) -> tuple[Any, ...]:
    return option.cost is None, option.cost or 0.0, -option.fit


def _by_speed(options: Sequence[Option]) -> list[Option]:
    known = [option.seconds for option in options if option.seconds is not None]
    typical = median(known) if known else 0.0

    def key(option: Option) -> tuple[Any, ...]:
        seconds = typical if option.seconds is None else option.seconds
        return seconds, option.seconds is None, -option.fit, _cost(option)

    return sorted(options, key=key)


def _by_fit(by_cost: Sequence[Option], tier: str) -> list[Option]:
    """Return the band of this cost tier, best fit first, then the bands nearest to it.

    Bands are fifths of the models in order of cost (OpenRouter's percentiles by tier).
    """
    wanted, count = COST_TIERS.index(tier), len(by_cost)
    bands = {
        option.slug: min(place * len(COST_TIERS) // max(count, 1), len(COST_TIERS) - 1)
        for place, option in enumerate(by_cost)
    }
    return sorted(
        by_cost, key=lambda option: (abs(bands[option.slug] - wanted), -option.fit, _cost(option))
    )
