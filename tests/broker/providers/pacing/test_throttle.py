"""The throttle learns from 429s. Time is a number."""

from hypothesis import given
from hypothesis import strategies as st

from broker.providers.endpoint_stats import Pause, PauseReason
from broker.providers.pacing import Throttles
from broker.providers.pacing.limits import LONGEST_GUESS_MS, LONGEST_PAUSE_MS, RECOVERY_MS

NOW = 1_800_000_000_000
HOT = ("alpha", "acme/small")
OTHER = ("alpha", "acme/large")


def limited(calls=8, retry_after=None):
    """An endpoint with `calls` in flight that just answered 429."""
    throttles = Throttles()
    for _ in range(calls):
        throttles.record_start(HOT)
    throttles.record_rate_limit(HOT, retry_after, NOW)
    return throttles


def test_an_endpoint_is_left_alone_until_it_may_be_asked_again():
    throttles = limited(retry_after=7)
    assert throttles.free_at(HOT, NOW) == NOW + 7_000
    assert throttles.free_at(HOT, NOW + 6_999) == NOW + 7_000


def test_the_providers_other_models_are_not_meant():
    assert limited().free_at(OTHER, NOW) == NOW


def test_the_echoes_of_a_burst_are_no_further_strikes():
    # Given eight calls in flight that are all answered 429
    throttles = limited(retry_after=2)
    for _ in range(7):
        throttles.record_rate_limit(HOT, 2, NOW + 10)
    # Then the pause is the provider's, not doubled seven times
    assert throttles.free_at(HOT, NOW + 10) == NOW + 2_010


def test_a_second_deadline_never_shortens_the_first():
    """Elsewhere the second cooldown kept the shorter of two deadlines (litellm#40130)."""
    throttles = limited(retry_after=60)
    throttles.record_rate_limit(HOT, 1, NOW + 10)
    assert throttles.free_at(HOT, NOW + 5_000) == NOW + 60_000


def test_a_longer_second_deadline_counts():
    throttles = limited(retry_after=5)
    throttles.record_rate_limit(HOT, 60, NOW + 10)
    assert throttles.free_at(HOT, NOW + 5_000) == NOW + 60_010


def test_an_hours_long_reset_is_tried_again_after_minutes():
    """Elsewhere waiting for it hung every queued request (OmniRoute PR #495)."""
    throttles = limited(retry_after=4 * 3600)
    assert throttles.free_at(HOT, NOW) == NOW + LONGEST_PAUSE_MS


def test_after_a_pause_one_call_tries():
    # Given a pause that is over, and nothing in flight
    throttles = limited(calls=1, retry_after=1)
    throttles.record_end(HOT)
    later = NOW + 1_000
    assert throttles.free_at(HOT, later) == later
    # When one call is under way
    throttles.record_start(HOT)
    # Then no other may follow
    assert throttles.free_at(HOT, later) > later


def test_its_success_lets_half_of_the_former_crowd_in():
    throttles = limited(calls=8, retry_after=1)
    for _ in range(8):
        throttles.record_end(HOT)
    later = NOW + 1_000
    throttles.record_success(HOT, later)
    let_in = 0
    while throttles.free_at(HOT, later) == later:
        throttles.record_start(HOT)
        let_in += 1
    assert let_in == 4


def test_pauses_double_while_nothing_succeeds():
    throttles = Throttles()
    pauses, now = [], NOW
    for _ in range(5):
        throttles.record_start(HOT)
        until = throttles.record_rate_limit(HOT, None, now)
        throttles.record_end(HOT)
        pauses.append(until - now)
        now = until
    assert pauses == [500, 1_000, 2_000, 4_000, 8_000]


def test_after_a_quiet_minute_nothing_is_remembered():
    throttles = limited(calls=2, retry_after=1)
    throttles.record_success(HOT, NOW + RECOVERY_MS)
    assert throttles.find_busy(NOW + RECOVERY_MS) == {}
    assert throttles._known == {}


def test_other_processes_hear_of_a_pause_once():
    throttles, elsewhere = limited(retry_after=9), Throttles()
    elsewhere.merge_pauses(throttles.take_new_pauses().items(), NOW)
    assert elsewhere.free_at(HOT, NOW) == NOW + 9_000
    assert throttles.take_new_pauses() == {}
    assert elsewhere.take_new_pauses() == {}


def test_nothing_left_is_a_pause_without_a_429():
    throttles = Throttles()
    throttles.add_pause(HOT, 3.5, NOW, PauseReason.EXHAUSTED)
    assert throttles.free_at(HOT, NOW) == NOW + 3_500
    assert throttles.take_new_pauses() == {HOT: Pause(NOW + 3_500, PauseReason.EXHAUSTED)}


def test_an_echo_with_an_hours_long_reset_is_no_longer_than_any_pause():
    throttles = limited(retry_after=1)
    throttles.record_rate_limit(HOT, 4 * 3600, NOW + 10)
    assert throttles.free_at(HOT, NOW + 10) == NOW + 10 + LONGEST_PAUSE_MS


def test_a_stated_wait_is_not_doubled_for_ever():
    """A provider that says `Retry-After: 1` each time is asked again within seconds."""
    throttles, now = Throttles(), NOW
    for _ in range(20):
        throttles.record_start(HOT)
        until = throttles.record_rate_limit(HOT, 1, now)
        throttles.record_end(HOT)
        assert until - now <= LONGEST_GUESS_MS
        now = until


@given(st.lists(st.tuples(st.sampled_from(["begin", "limit", "ok"]), st.integers(0, 2_000))))
def test_no_pause_is_ever_cut_short_and_every_pause_ends(steps):
    throttles, now, longest = Throttles(), NOW, 0
    for step, pause in steps:
        now += pause
        if step == "begin":
            throttles.record_start(HOT)
        elif step == "limit":
            longest = max(longest, throttles.record_rate_limit(HOT, pause / 1000, now))
        else:
            throttles.record_success(HOT, now)
        assert throttles.free_at(HOT, now) >= (max(now, longest))
        assert throttles.free_at(HOT, now) <= now + LONGEST_PAUSE_MS
