from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import AttemptOutcome as Outcome
from broker.completion import ErrorType as Type
from broker.completion import Failure
from broker.enums import JobState, OnUnknown
from broker.lifecycle.retries import (
    BACKOFF_CAP_SECONDS,
    GiveUp,
    Retry,
    Situation,
    compute_backoff_ceiling,
    decide,
)
from broker.routing import Plan, PlanStep
from tests.factories import make_endpoint

# places 0 and 1 serve the same model, place 2 another
PLACES = [("alpha", "m/one"), ("beta", "m/one"), ("alpha", "m/two")]


def plan_of(length):
    return Plan([PlanStep(make_endpoint(*place), "why") for place in PLACES[:length]])


def fails(type_=Type.RATE_LIMIT_EXCEEDED, outcome=Outcome.REJECTED, retry_after=None):
    return Failure(outcome, type_, "no", retry_after=retry_after)


def after(failure, *, length=3, position=0, used=1, here=1, chance=0.0, **more):
    situation = Situation(
        plan=plan_of(length),
        position=position,
        attempts_used=used,
        tries_here=here,
        **({"max_attempts": 5, "seconds_left": 1000.0} | more),
    )
    return decide(failure, situation, chance=chance)


@pytest.mark.parametrize(
    ("type_", "first", "second"),
    [
        (Type.RATE_LIMIT_EXCEEDED, Retry(1), Retry(1)),
        (Type.PROVIDER_OVERLOADED, Retry(1), Retry(1)),
        (Type.AUTHENTICATION, Retry(1), Retry(1)),
        (Type.PAYMENT_REQUIRED, Retry(1), Retry(1)),
        (Type.PERMISSION_DENIED, Retry(1), Retry(1)),
        (Type.NOT_FOUND, Retry(1), Retry(1)),
        (Type.UNPROCESSABLE, Retry(1), Retry(1)),
        (Type.TOKEN_LIMIT_EXCEEDED, Retry(1), Retry(1)),
        (Type.PROVIDER_UNAVAILABLE, Retry(0), Retry(1)),
        (Type.SERVER, Retry(0), Retry(1)),
        (Type.TIMEOUT, Retry(0), Retry(1)),
        (Type.UNMAPPED, Retry(0), Retry(1)),
        (Type.CONTEXT_LENGTH_EXCEEDED, Retry(2), Retry(2)),
        (Type.INVALID_REQUEST, Retry(2), Retry(2)),
        (Type.CONTENT_POLICY_VIOLATION, Retry(2), Retry(2)),
    ],
)
def test_where_a_failure_leads(type_, first, second):
    assert (after(fails(type_)), after(fails(type_), used=2, here=2)) == (first, second)


@pytest.mark.parametrize("type_", Type)
def test_a_plan_of_one_is_tried_again_only_where_waiting_helps(type_):
    retried = isinstance(after(fails(type_), length=1), Retry)
    waiting_helps = {
        Type.RATE_LIMIT_EXCEEDED,
        Type.PROVIDER_OVERLOADED,
        Type.PROVIDER_UNAVAILABLE,
        Type.SERVER,
        Type.TIMEOUT,
        Type.UNMAPPED,
        Type.WORKER_LOST,
    }
    assert retried is (type_ in waiting_helps)


def test_a_bad_request_is_not_repeated_at_another_provider_of_the_same_model():
    assert after(fails(Type.INVALID_REQUEST), length=2) == GiveUp()
    assert after(fails(Type.INVALID_REQUEST), position=2) == GiveUp()


def test_once_all_were_tried_the_first_is_tried_again_after_a_pause():
    assert after(fails(), position=2, used=3, chance=0.5) == Retry(0, delay=1.0)


def test_a_wrong_key_everywhere_ends_the_job():
    assert after(fails(Type.AUTHENTICATION), position=2) == GiveUp()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OnUnknown.RETRY, Retry(0)),
        (OnUnknown.FAIL, GiveUp()),
        (OnUnknown.HOLD, GiveUp(JobState.NEEDS_REVIEW)),
    ],
)
def test_the_policy_decides_after_silence(policy, expected):
    silent = fails(Type.TIMEOUT, Outcome.UNKNOWN)
    assert after(silent, on_unknown=policy) == expected


def test_a_request_that_never_left_is_sent_again_under_any_policy():
    for policy in OnUnknown:
        unsent = fails(Type.PROVIDER_UNAVAILABLE, Outcome.NOT_SENT)
        assert after(unsent, on_unknown=policy) == Retry(0)


def test_a_stream_that_was_shown_is_never_spliced_with_another_answer():
    for outcome in (Outcome.REJECTED, Outcome.UNKNOWN):
        assert after(fails(Type.SERVER, outcome), shown=True) == GiveUp()


def test_an_interruption_goes_back_to_the_same_place_however_many_attempts_are_used():
    interrupted = fails(Type.UNMAPPED, Outcome.INTERRUPTED)
    assert after(interrupted, position=1, used=5, max_attempts=5) == Retry(1)


def test_a_pause_that_outlasts_the_deadline_ends_the_job_now():
    limited = fails(retry_after=60)
    assert after(limited, length=1, seconds_left=60) == GiveUp(JobState.EXPIRED)
    assert after(limited, length=1, seconds_left=61) == Retry(0, 60)


def test_the_pause_doubles_up_to_a_cap():
    assert [compute_backoff_ceiling(n) for n in (1, 2, 3, 7, 8, 9)] == [0.5, 1, 2, 32, 60, 60]
    assert compute_backoff_ceiling(10**6) == BACKOFF_CAP_SECONDS


FAILURES = st.builds(
    Failure,
    outcome=st.sampled_from([o for o in Outcome if o is not Outcome.OK]),
    error_type=st.sampled_from(Type),
    message=st.just("no"),
    retry_after=st.none() | st.floats(0, 10_000),
)


@st.composite
def situations(draw):
    plan = plan_of(draw(st.integers(1, 3)))
    used = draw(st.integers(1, 20))
    return Situation(
        plan=plan,
        position=draw(st.integers(0, len(plan) - 1)),
        attempts_used=used,
        tries_here=draw(st.integers(1, used)),
        max_attempts=draw(st.integers(1, 20)),
        seconds_left=draw(st.floats(-100, 100_000)),
        on_unknown=draw(st.sampled_from(OnUnknown)),
        shown=draw(st.booleans()),
    )


CHANCES = st.floats(0, 1, exclude_max=True)


@given(FAILURES, situations(), CHANCES)
def test_whatever_happens_the_limits_hold(failure, situation, chance):
    decision = decide(failure, situation, chance=chance)
    if not isinstance(decision, Retry):
        return
    assert failure.outcome is not Outcome.CANCELLED
    assert 0 <= decision.position < len(situation.plan)
    if failure.outcome is Outcome.INTERRUPTED:
        assert decision == Retry(situation.position)
        return
    if failure.outcome is Outcome.SKIPPED and situation.has_next:
        assert decision == Retry(situation.position + 1)
        return
    # never more than max_attempts, never after the deadline, never against the caller's policy
    assert situation.attempts_used < situation.max_attempts
    assert decision.delay < situation.seconds_left
    if failure.outcome is Outcome.UNKNOWN:
        assert situation.on_unknown is OnUnknown.RETRY
        assert not situation.shown


@given(FAILURES, situations(), CHANCES)
def test_the_provider_that_asked_to_wait_is_not_called_earlier(failure, situation, chance):
    decision = decide(failure, situation, chance=chance)
    pausing = isinstance(decision, Retry) and failure.outcome is not Outcome.INTERRUPTED
    if pausing and decision.position == situation.position:
        assert decision.delay >= (failure.retry_after or 0)


@given(st.integers(1, 12), st.lists(FAILURES, min_size=40, max_size=40), CHANCES)
def test_a_job_that_only_fails_ends_within_its_attempts(max_attempts, failures, chance):
    position, here, used = 0, 0, 0
    for failure in failures:
        used, here = used + 1, here + 1
        situation = Situation(plan_of(3), position, used, here, max_attempts, 10**9)
        decision = decide(failure, situation, chance=chance)
        if not isinstance(decision, Retry):
            return
        if failure.outcome in (Outcome.INTERRUPTED, Outcome.SKIPPED):
            used, here = used - 1, here - 1
        if decision.position != position:
            position, here = decision.position, 0
        assert used < max_attempts


def test_a_skipped_endpoint_is_followed_by_the_next_whatever_was_used_up():
    skipped = fails(Type.PROVIDER_UNAVAILABLE, Outcome.SKIPPED)
    assert after(skipped, used=5, here=3) == Retry(1)


@pytest.mark.parametrize("type_", Type)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_answer_that_cannot_be_used_is_never_bought_again_at_its_endpoint(type_, position):
    failure = replace(fails(type_, Outcome.UNKNOWN), answered=True)
    expected = Retry(position + 1) if position < 2 else GiveUp()
    assert after(failure, position=position) == expected
    assert after(failure, position=position, used=5) == GiveUp()
