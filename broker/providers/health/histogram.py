"""Distributions as counts by logarithmic bucket: small, mergeable by addition. Pure.

Four buckets to a doubling: a percentile is at most 9 % off the measured value it stands for.
"""

import math
from collections.abc import Mapping

from broker.providers.endpoint_stats import Percentiles

PER_DOUBLING = 4
LOWEST, HIGHEST = -16, 128  # 1/16 and 4 billion: more than any wait in ms or speed in tokens/s


def bucket(value: float) -> int:
    """Return the bucket of a measured value; what is not positive is as small as can be."""
    if value <= 0:
        return LOWEST
    return min(max(math.floor(math.log2(value) * PER_DOUBLING), LOWEST), HIGHEST)


def middle(number: int) -> float:
    """Return the value that a bucket stands for: the middle of its range, logarithmically."""
    return float(2.0 ** ((number + 0.5) / PER_DOUBLING))


def percentiles(counts: Mapping[int, int], *, falling: bool = False) -> Percentiles | None:
    """Return what a share of the measured values kept to; None where nothing was measured.

    Of waits p90 is what 90 % stayed below; where more is better (`falling`), what 90 % exceeded.
    """
    total = sum(counts.values())
    if not total:
        return None
    ordered = sorted(counts, reverse=falling)
    return Percentiles(
        *(_reached(counts, ordered, share * total) for share in (0.5, 0.75, 0.9, 0.99))
    )


def _reached(counts: Mapping[int, int], ordered: list[int], rank: float) -> float:
    passed = 0
    for number in ordered:
        passed += counts[number]
        if passed >= rank:
            return middle(number)
    return middle(ordered[-1])
