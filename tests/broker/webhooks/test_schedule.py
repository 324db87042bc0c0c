import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.webhooks.schedule import (
    DELAYS,
    DISABLE_AFTER_MS,
    MAX_JITTER,
    MAX_WAIT,
    Delivered,
    Exhausted,
    RetryAt,
    decide,
    has_failed_too_long,
)
from tests.factories import NOW

S, M, H = 1_000, 60_000, 3_600_000


def after(status, *, failures=0, jitter=0.0, retry_after=None):
    return decide(status, failures=failures, now=NOW, jitter=jitter, retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_success(status):
    assert after(status, failures=9) == Delivered()


@pytest.mark.parametrize("status", [None, 100, 301, 302, 304, 307, 400, 401, 404, 429, 500, 502])
def test_anything_else_is_tried_again(status):
    assert after(status) == RetryAt(NOW + 5 * S)


def test_410_ends_it_and_its_endpoint():
    assert after(410) == Exhausted(gone=True)


def test_the_schedule_is_the_standards():
    waits = [after(500, failures=n).at - NOW for n in range(9)]
    assert waits == [5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H]
    assert after(500, failures=9) == Exhausted()
    assert len(DELAYS) == 10
    assert 75 * H < sum(waits) < 76 * H


@pytest.mark.parametrize(
    ("asked", "failures", "waited"),
    [
        (1, 0, 5 * S),  # never sooner than the schedule
        (120, 0, 120 * S),
        (3600, 1, 1 * H),
        (10**9, 0, MAX_WAIT * 1000),
        (-5, 0, 5 * S),
    ],
)
def test_retry_after_is_a_minimum(asked, failures, waited):
    assert after(503, failures=failures, retry_after=asked) == RetryAt(NOW + waited)


def test_retry_after_does_not_make_the_schedule_longer():
    assert after(429, failures=9, retry_after=10) == Exhausted()


@given(
    st.none() | st.integers(100, 599),
    st.integers(0, 20),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e12),
)
def test_a_retry_is_never_early_and_never_later_than_its_jitter(status, failures, jitter, asked):
    following = after(status, failures=failures, jitter=jitter, retry_after=asked)
    if isinstance(following, RetryAt):
        scheduled = DELAYS[failures + 1]
        least = max(scheduled, min(asked or 0, MAX_WAIT))
        assert least * 1000 - 1 <= following.at - NOW <= least * 1000 * (1 + MAX_JITTER) + 1
    else:
        assert failures >= 9 or status == 410 or 200 <= status < 300


@pytest.mark.parametrize(
    ("since", "given_up"),
    [
        (None, False),
        (NOW, False),
        (NOW - DISABLE_AFTER_MS + 1, False),
        (NOW - DISABLE_AFTER_MS, True),
    ],
)
def test_five_days_of_failures_are_enough(since, given_up):
    assert has_failed_too_long(since, NOW) is given_up
    assert DISABLE_AFTER_MS == 5 * 24 * H
