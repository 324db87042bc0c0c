"""Order candidates by shares of the traffic, or in the requested order."""

import math
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any, TypeAlias

from broker.providers.endpoint_stats import EndpointStats, Percentiles
from broker.routing.candidates import (
    Candidate,
    estimate_duration,
    estimate_reliability,
    find_latency,
    find_throughput,
)
from broker.routing.filters import matches
from broker.routing.preferences import Sort
from broker.routing.requirements import Requirements
from broker.values import immutable

EXPLORATION = 0.01
"""The smallest share, as a part of the largest. It keeps the stats of all endpoints current."""

SPEED_WEIGHT = 0.5
"""The exponent of speed: twice as fast equals a price lower by the square root of two."""

FAILURE_WEIGHT = 4
"""The exponent of failures: when half of the calls fail, the price counts 16 times."""

FREE_SHARE = 0.01
"""A free endpoint counts as this fraction of the highest price."""


def compute_shares(candidates: Sequence[Candidate], requirements: Requirements) -> list[float]:
    """Return each candidate's share of the traffic; together they are 1."""
    weights = [price**-2 for price in _adjust_prices(candidates, requirements)]
    floor_weight = max(weights) * EXPLORATION
    raised = [max(weight, floor_weight) for weight in weights]
    total = sum(raised)
    return [weight / total for weight in raised]


@immutable
class Seed:
    """A source of repeatable random draws."""

    seed: int

    def draw(self, weights: Sequence[float]) -> list[float]:
        """Return sort keys of a random order: each position is drawn by the shares of the rest.

        (An exponential clock with each weight as its rate: Efraimidis and Spirakis, 2006.)
        """
        random = Random(self.seed)  # noqa: S311  # it spreads load, and must be repeatable
        return [-math.log(1.0 - random.random()) / weight for weight in weights]


def _adjust_prices(candidates: Sequence[Candidate], requirements: Requirements) -> list[float]:
    costs = _find_costs(candidates)
    times = [estimate_duration(each.stats, requirements.likely_output) for each in candidates]
    known = [time for time in times if time is not None]
    typical = max(median(known), 0.001) if known else 1.0
    return [
        cost * _compute_slowness(time, typical) * _compute_unreliability(each.stats)
        for cost, time, each in zip(costs, times, candidates, strict=True)
    ]


def _find_costs(candidates: Sequence[Candidate]) -> list[float]:
    """Return costs above zero; an unknown cost counts as the median."""
    known = [each.cost for each in candidates if each.cost is not None]
    typical = median(known) if known else 1.0
    floor = max(known, default=0.0) * FREE_SHARE or 1.0
    return [max(typical if each.cost is None else each.cost, floor) for each in candidates]


def _compute_slowness(time: float | None, typical: float) -> float:
    """Return the factor of the price for slowness; 1 if it was not measured."""
    return 1.0 if time is None else float(max(time / typical, 0.01) ** SPEED_WEIGHT)


def _compute_unreliability(stats: EndpointStats) -> float:
    share = max(estimate_reliability(stats), 0.05)
    return float(share**-FAILURE_WEIGHT * (1.0 + stats.rate_limited_5m))


Ranked: TypeAlias = tuple[Candidate, str]
"""A candidate and the reason for its position."""

PRECISION = {"fp32": 3, "bf16": 3, "fp16": 3, "fp8": 2, "mxfp8": 2, "int8": 2}
"""Ranks of quantizations by precision; others have 1, an unknown one 2."""


@immutable
class Ranking:
    """The sort keys of candidates that are equally fit; smaller keys come first."""

    keys: Sequence[Any]
    reasons: Sequence[str]


def order_candidates(
    candidates: Sequence[Candidate],
    requirements: Requirements,
    seed: Seed,
    *,
    sort: Sort | None,
    names: Sequence[str] = (),
) -> list[Ranked]:
    """Order candidates by health, named order, fitness and ranking."""
    if len(candidates) == 1:
        only = candidates[0]
        return [(only, _add_doubts("the only endpoint", only))]
    ranking = _rank(candidates, requirements, seed, sort, names)
    positions = [_find_position(each, names) for each in candidates]
    keys = [
        (each.health, position, each.lacking, each.unmet, key)
        for each, position, key in zip(candidates, positions, ranking.keys, strict=True)
    ]
    reasons = [
        f"named in provider.order, {_describe_position(position)}"
        if position < len(names)
        else reason
        for position, reason in zip(positions, ranking.reasons, strict=True)
    ]
    indexes = sorted(range(len(candidates)), key=keys.__getitem__)
    ranked = [(candidates[n], _add_doubts(reasons[n], candidates[n])) for n in indexes]
    return _move_cached_first(ranked) if sort is None and not names else ranked


def _rank(
    candidates: Sequence[Candidate],
    requirements: Requirements,
    seed: Seed,
    sort: Sort | None,
    names: Sequence[str],
) -> Ranking:
    if sort is None and names:
        sort = Sort.PRICE  # naming providers turns balancing off
    return (
        _RANKINGS[sort](candidates)
        if sort is not None
        else _rank_by_share(candidates, requirements, seed)
    )


def _rank_by_share(
    candidates: Sequence[Candidate], requirements: Requirements, seed: Seed
) -> Ranking:
    weights = compute_shares(candidates, requirements)
    return Ranking(
        seed.draw(weights),
        [f"drawn with a share of {weight:.0%} by price, speed and uptime" for weight in weights],
    )


def _rank_by_price(candidates: Sequence[Candidate]) -> Ranking:
    known = [each.cost is not None for each in candidates]
    costs = [each.cost or 0.0 for each in candidates]
    return Ranking(
        [
            (not priced, cost, not each.is_cached)
            for priced, cost, each in zip(known, costs, candidates, strict=True)
        ],
        [
            f"by price: about {cost / 1e9:.2g} USD" if priced else "by price: not known in advance"
            for priced, cost in zip(known, costs, strict=True)
        ],
    )


def _rank_by_throughput(candidates: Sequence[Candidate]) -> Ranking:
    speeds = [find_throughput(each.stats) for each in candidates]
    return _rank_by_median(candidates, speeds, "throughput", "tokens/s", most_first=True)


def _rank_by_latency(candidates: Sequence[Candidate]) -> Ranking:
    waits = [find_latency(each.stats) for each in candidates]
    return _rank_by_median(candidates, waits, "latency", "s to the first token", most_first=False)


def _rank_by_median(
    candidates: Sequence[Candidate],
    measures: Sequence[Percentiles | None],
    measure_name: str,
    unit: str,
    *,
    most_first: bool,
) -> Ranking:
    """Rank by medians, then by price; an unmeasured value counts as the median of the others."""
    known = [each.p50 for each in measures if each is not None]
    typical = median(known) if known else 0.0
    sign = -1.0 if most_first else 1.0
    return Ranking(
        [
            (sign * (typical if each is None else each.p50), each is None, candidate.cost or 0.0)
            for each, candidate in zip(measures, candidates, strict=True)
        ],
        [
            f"by {measure_name}: not measured yet"
            if each is None
            else f"by {measure_name}: {each.p50:.3g} {unit}"
            for each in measures
        ],
    )


def _rank_by_quality(candidates: Sequence[Candidate]) -> Ranking:
    fast = _rank_by_throughput(candidates).keys
    precisions = [_find_precision(each.endpoint.quantization) for each in candidates]
    chances = [estimate_reliability(each.stats) for each in candidates]
    return Ranking(
        list(zip((-each for each in precisions), (-each for each in chances), fast, strict=True)),
        [
            f"by quality: {each.endpoint.quantization or 'unknown'} precision, {share:.1%} uptime"
            for each, share in zip(candidates, chances, strict=True)
        ],
    )


def _find_precision(quantization: str | None) -> int:
    if quantization is None or quantization == "unknown":
        return 2
    return PRECISION.get(quantization, 1)


_RANKINGS: dict[Sort, Callable[[Sequence[Candidate]], Ranking]] = {
    Sort.PRICE: _rank_by_price,
    Sort.THROUGHPUT: _rank_by_throughput,
    Sort.LATENCY: _rank_by_latency,
    Sort.EXACTO: _rank_by_quality,
}


def _find_position(candidate: Candidate, names: Sequence[str]) -> int:
    found = (n for n, slug in enumerate(names) if matches(candidate.endpoint, slug))
    return next(found, len(names))


def _move_cached_first(ranked: list[Ranked]) -> list[Ranked]:
    """Move the endpoint with the conversation's prompt cache first, unless another is cheaper."""
    cached = next((each for each, _ in ranked if each.is_cached), None)
    if cached is None or cached.health or cached.cost is None:
        return ranked
    competing = [
        each.cost
        for each, _ in ranked
        if each is not cached and not each.health and each.rank == cached.rank
    ]
    if any(cost is not None and cost < cached.cost for cost in competing):
        return ranked
    rest = [each for each in ranked if each[0] is not cached]
    return [
        (
            cached,
            _add_doubts("it has this conversation's prompt cache, and no other is cheaper", cached),
        ),
        *rest,
    ]


def _add_doubts(reason: str, candidate: Candidate) -> str:
    return "; ".join((reason, *candidate.doubts))


def _describe_position(position: int) -> str:
    return f"position {position + 1}"
