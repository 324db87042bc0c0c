"""Candidates in the order they are tried: shares of the traffic, or the order requested."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any, TypeAlias

from broker.providers.endpoint_stats import EndpointStats, Percentiles
from broker.routing.candidates import Candidate, duration, latency, reliability, throughput
from broker.routing.filters import matches
from broker.routing.preferences import Sort
from broker.routing.requirements import Requirements

EXPLORATION = 0.01
"""No share is smaller than this part of the largest: what nobody asks, nobody learns about."""

SPEED_WEIGHT = 0.5
"""Twice as fast may cost the square root of two as much."""

FAILURE_WEIGHT = 4
"""An endpoint that serves half of its calls counts as sixteen times as dear."""

FREE_SHARE = 0.01
"""A free endpoint counts as this fraction of the highest price."""


def shares(candidates: Sequence[Candidate], requirements: Requirements) -> list[float]:
    """Return each candidate's share of the traffic; together they are 1."""
    weights = [price**-2 for price in _adjusted_prices(candidates, requirements)]
    least = max(weights) * EXPLORATION
    raised = [max(weight, least) for weight in weights]
    total = sum(raised)
    return [weight / total for weight in raised]


@dataclass(frozen=True, slots=True)
class Seed:
    """Random draws that the same seed repeats; costs nothing until it is thrown."""

    seed: int

    def draw(self, weights: Sequence[float]) -> list[float]:
        """Return sort keys of a random order in which each place goes by the shares of those left.

        (An exponential clock with each weight as its rate: Efraimidis and Spirakis, 2006.)
        """
        random = Random(self.seed)  # noqa: S311  # it spreads load, and must be repeatable
        return [-math.log(1.0 - random.random()) / weight for weight in weights]


def _adjusted_prices(candidates: Sequence[Candidate], requirements: Requirements) -> list[float]:
    costs = _costs(candidates)
    times = [duration(each.stats, requirements.likely_output) for each in candidates]
    known = [time for time in times if time is not None]
    typical = max(median(known), 0.001) if known else 1.0
    return [
        cost * _slowness(time, typical) * _unreliability(each.stats)
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


def _unreliability(stats: EndpointStats) -> float:
    chance = max(reliability(stats), 0.05)
    return float(chance**-FAILURE_WEIGHT * (1.0 + stats.rate_limited_5m))


Placed: TypeAlias = tuple[Candidate, str]
"""A candidate and why it stands where it stands."""

PRECISION = {"fp32": 3, "bf16": 3, "fp16": 3, "fp8": 2, "mxfp8": 2, "int8": 2}
"""Ranks of quantizations by precision; others have 1, an unknown one 2."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The sort keys of candidates that are equally fit; smaller keys come first."""

    keys: Sequence[Any]
    reasons: Sequence[str]


def order(
    candidates: Sequence[Candidate],
    requirements: Requirements,
    seed: Seed,
    *,
    sort: Sort | None,
    names: Sequence[str] = (),
) -> list[Placed]:
    """Order candidates: those that may be called, then as named, then as fit, then by ranking."""
    if len(candidates) == 1:
        only = candidates[0]
        return [(only, _with_doubts("the only endpoint", only))]
    ranking = _ranking(candidates, requirements, seed, sort, names)
    positions = [_position(each, names) for each in candidates]
    keys = [
        (each.health, position, each.lacking, each.unmet, key)
        for each, position, key in zip(candidates, positions, ranking.keys, strict=True)
    ]
    reasons = [
        f"named in provider.order, {_ordinal(position)}" if position < len(names) else reason
        for position, reason in zip(positions, ranking.reasons, strict=True)
    ]
    order_of = sorted(range(len(candidates)), key=keys.__getitem__)
    placed = [(candidates[n], _with_doubts(reasons[n], candidates[n])) for n in order_of]
    return _put_cached_first(placed) if sort is None and not names else placed


def _ranking(
    candidates: Sequence[Candidate],
    requirements: Requirements,
    seed: Seed,
    sort: Sort | None,
    names: Sequence[str],
) -> Ranking:
    if sort is None and names:
        sort = Sort.PRICE  # whoever names providers has turned the balancing off
    return (
        _SORTED[sort](candidates) if sort is not None else _by_share(candidates, requirements, seed)
    )


def _by_share(candidates: Sequence[Candidate], requirements: Requirements, seed: Seed) -> Ranking:
    weights = shares(candidates, requirements)
    return Ranking(
        seed.draw(weights),
        [f"drawn with a share of {weight:.0%} by price, speed and uptime" for weight in weights],
    )


def _by_price(candidates: Sequence[Candidate]) -> Ranking:
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


def _by_throughput(candidates: Sequence[Candidate]) -> Ranking:
    speeds = [throughput(each.stats) for each in candidates]
    return _by_median(candidates, speeds, "throughput", "tokens/s", most_first=True)


def _by_latency(candidates: Sequence[Candidate]) -> Ranking:
    waits = [latency(each.stats) for each in candidates]
    return _by_median(candidates, waits, "latency", "s to the first token", most_first=False)


def _by_median(
    candidates: Sequence[Candidate],
    measures: Sequence[Percentiles | None],
    what: str,
    unit: str,
    *,
    most_first: bool,
) -> Ranking:
    """Rank by medians; what was not measured counts as a typical peer, and a tie goes by price."""
    known = [each.p50 for each in measures if each is not None]
    typical = median(known) if known else 0.0
    sign = -1.0 if most_first else 1.0
    return Ranking(
        [
            (sign * (typical if each is None else each.p50), each is None, candidate.cost or 0.0)
            for each, candidate in zip(measures, candidates, strict=True)
        ],
        [
            f"by {what}: not measured yet" if each is None else f"by {what}: {each.p50:.3g} {unit}"
            for each in measures
        ],
    )


def _by_quality(candidates: Sequence[Candidate]) -> Ranking:
    fast = _by_throughput(candidates).keys
    precisions = [_precision(each.endpoint.quantization) for each in candidates]
    chances = [reliability(each.stats) for each in candidates]
    return Ranking(
        list(zip((-each for each in precisions), (-each for each in chances), fast, strict=True)),
        [
            f"by quality: {each.endpoint.quantization or 'unknown'} precision, {chance:.1%} uptime"
            for each, chance in zip(candidates, chances, strict=True)
        ],
    )


def _precision(quantization: str | None) -> int:
    if quantization is None or quantization == "unknown":
        return 2
    return PRECISION.get(quantization, 1)


_SORTED: dict[Sort, Callable[[Sequence[Candidate]], Ranking]] = {
    Sort.PRICE: _by_price,
    Sort.THROUGHPUT: _by_throughput,
    Sort.LATENCY: _by_latency,
    Sort.EXACTO: _by_quality,
}


def _position(candidate: Candidate, names: Sequence[str]) -> int:
    found = (n for n, slug in enumerate(names) if matches(candidate.endpoint, slug))
    return next(found, len(names))


def _put_cached_first(placed: list[Placed]) -> list[Placed]:
    """Put the endpoint that remembers the conversation first, while nobody is cheaper."""
    cached = next((each for each, _ in placed if each.is_cached), None)
    if cached is None or cached.health or cached.cost is None:
        return placed
    rivals = [
        each.cost
        for each, _ in placed
        if each is not cached and not each.health and each.rank == cached.rank
    ]
    if any(cost is not None and cost < cached.cost for cost in rivals):
        return placed
    others = [each for each in placed if each[0] is not cached]
    return [
        (cached, _with_doubts("it remembers this conversation, and nobody is cheaper", cached)),
        *others,
    ]


def _with_doubts(reason: str, candidate: Candidate) -> str:
    return "; ".join((reason, *candidate.doubts))


def _ordinal(position: int) -> str:
    return f"place {position + 1}"
