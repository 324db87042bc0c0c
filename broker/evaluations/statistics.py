"""Intervals and tests of significance. Pure, with a fixed seed, so that figures are repeatable.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA
22 (1927); Q. McNemar, Psychometrika 12 (1947), in its exact form; B. Efron and R. Tibshirani, "An
Introduction to the Bootstrap" (1993), chapter 13 (percentile intervals).
"""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

CONFIDENCE = 0.95
SEED = 20_261_130
MOST_RESAMPLES = 2_000
LEAST_RESAMPLES = 400
DRAWS = 2_000_000  # values that a bootstrap draws; more values get fewer resamples

_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


class Bounds(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def compute_wilson(successes: int, trials: int) -> Bounds:
    """Return the Wilson interval of a proportion. There is at least one trial."""
    share, square = successes / trials, _Z**2
    middle = share + square / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    scale = 1 + square / trials
    return Bounds(max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0))


def resample_means(values: Sequence[float]) -> list[float]:
    """Return the means of random resamples of the values, sorted."""
    generator = random.Random(SEED)  # noqa: S311  # no secret
    count = len(values)
    resamples = max(min(MOST_RESAMPLES, DRAWS // count), LEAST_RESAMPLES)
    return sorted(sum(generator.choices(values, k=count)) / count for _ in range(resamples))


def compute_bootstrap(values: Sequence[float]) -> Bounds:
    """Return the percentile bootstrap interval of the mean. There is at least one value."""
    means = resample_means(values)
    tail = (1 - CONFIDENCE) / 2
    return Bounds(compute_percentile(means, tail), compute_percentile(means, 1 - tail))


def compare_pairs(differences: Sequence[float]) -> tuple[Bounds, float]:
    """Return the bootstrap interval of a mean difference, and its two-sided p-value."""
    means = resample_means(differences)
    tail = (1 - CONFIDENCE) / 2
    bounds = Bounds(compute_percentile(means, tail), compute_percentile(means, 1 - tail))
    below = sum(mean <= 0 for mean in means)
    above = sum(mean >= 0 for mean in means)
    return bounds, min(2 * (min(below, above) + 1) / (len(means) + 1), 1.0)


def compute_mcnemar(only_one: int, only_other: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    The arguments are the numbers of pairs in which one passed alone, and in which the other did.
    """
    trials = only_one + only_other
    if not trials:
        return 1.0
    least = min(only_one, only_other)
    tail = sum(_binomial(trials, hits) for hits in range(least + 1))
    return min(2 * tail, 1.0)


def compute_percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values, interpolated between neighbours."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def compute_agreement(groups: Sequence[Sequence[object]]) -> float | None:
    """Return how often two samples of a group are equal, as the mean over groups.

    None without a group of at least two samples.
    """
    shares = []
    for group in groups:
        pairs = [one == other for index, one in enumerate(group) for other in group[index + 1 :]]
        if pairs:
            shares.append(fmean(pairs))
    return fmean(shares) if shares else None


def _binomial(trials: int, hits: int) -> float:
    """Return the probability of this number of hits in fair trials."""
    log = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    return math.exp(log - trials * math.log(2))
