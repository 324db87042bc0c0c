"""Intervals and p-values are those of SciPy, which computes them independently."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from broker.evaluations.statistics import (
    compare_pairs,
    compute_agreement,
    compute_bootstrap,
    compute_mcnemar,
    compute_percentile,
    compute_wilson,
)

SCORES = [(7 * n % 5) / 4 for n in range(200)]


@given(st.data())
def test_a_wilson_interval_is_that_of_scipy(data: st.DataObject) -> None:
    trials = data.draw(st.integers(1, 5_000))
    successes = data.draw(st.integers(0, trials))
    wanted = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = compute_wilson(successes, trials)
    assert found == pytest.approx((wanted.low, wanted.high), abs=1e-9)


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_mcnemar_is_the_exact_binomial_test(one: int, other: int) -> None:
    wanted = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert compute_mcnemar(one, other) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("values", [SCORES, SCORES[:20], [float(n % 3 == 0) for n in range(90)]])
def test_a_bootstrap_interval_is_that_of_scipy(values: list[float]) -> None:
    wanted = stats.bootstrap(
        (np.array(values),), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    # 2,000 resamples know the ends to about a twentieth of the standard error
    error = float(np.std(values)) / len(values) ** 0.5
    assert compute_bootstrap(values) == pytest.approx((wanted.low, wanted.high), abs=error / 5)
    assert compute_bootstrap(values) == compute_bootstrap(values)


def test_a_paired_difference_agrees_with_the_permutation_test() -> None:
    better = [0.25 if n % 4 else -0.5 for n in range(60)]
    even = [0.5 if n % 2 else -0.5 for n in range(60)]
    for differences in (better, even):
        bounds, p_value = compare_pairs(differences)
        wanted = stats.permutation_test(
            (np.array(differences),),
            np.mean,
            permutation_type="samples",
            n_resamples=9_999,
            rng=1,
        ).pvalue
        assert p_value == pytest.approx(wanted, abs=0.05)
        assert (p_value < 0.05) == (not bounds.low <= 0 <= bounds.high)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_percentiles_are_numpys(values: list[float], share: float) -> None:
    wanted = np.quantile(values, share)
    assert compute_percentile(sorted(values), share) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_agreement_is_the_share_of_equal_pairs() -> None:
    assert compute_agreement([["a", "a", "b"], ["c", "c"], ["d"]]) == pytest.approx((1 / 3 + 1) / 2)
    assert compute_agreement([["a"]]) is None
