import math

from hypothesis import given
from hypothesis import strategies as st

from broker.providers.health import counts as histogram

VALUES = st.lists(st.floats(0.1, 3_600_000), min_size=1, max_size=200)


def counted(values):
    counts = {}
    for value in values:
        counts[histogram.find_bucket(value)] = counts.get(histogram.find_bucket(value), 0) + 1
    return counts


def exact(values, share, *, falling=False):
    ordered = sorted(values, reverse=falling)
    return ordered[max(math.ceil(share * len(values)) - 1, 0)]


@given(VALUES)
def test_percentiles_are_within_a_tenth_of_the_measured_ones(values):
    found = histogram.compute_percentiles(counted(values))
    for share, value in ((0.5, found.p50), (0.75, found.p75), (0.9, found.p90), (0.99, found.p99)):
        assert math.isclose(value, exact(values, share), rel_tol=0.1)


@given(VALUES)
def test_of_a_speed_p90_is_what_nine_in_ten_exceeded(values):
    found = histogram.compute_percentiles(counted(values), falling=True)
    assert math.isclose(found.p90, exact(values, 0.9, falling=True), rel_tol=0.1)
    assert found.p50 >= found.p75 >= found.p90 >= found.p99


def test_nothing_measured_is_not_zero():
    assert histogram.compute_percentiles({}) is None


def test_what_is_not_positive_has_a_place():
    assert histogram.find_bucket(0) == histogram.find_bucket(-1) == histogram.LOWEST
