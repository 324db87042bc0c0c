"""A fallback that is dearer than the hold holds more first, or is passed over."""

import dataclasses

import pytest

from broker.completion import AttemptOutcome, ErrorType
from broker.lifecycle import Extension, decide, extend_many, needs_extension
from broker.lifecycle.retries import GiveUp, Retry
from tests.factories import (
    HOLD,
    NOW,
    balance,
    cancel,
    claim_one,
    entries,
    failed,
    failure,
    finished,
    job_row,
    make_principal,
    record,
    run,
    submit_and_claim,
)

THREE = [("alpha", "m/one"), ("beta", "m/two"), ("gamma", "m/three")]
BUSY = failure(AttemptOutcome.REJECTED, ErrorType.RATE_LIMIT_EXCEEDED)


def fall_back(database, job, why=BUSY):
    """Handle a failure as a worker does: decide, extend the hold if needed, record."""
    decision = decide(job, why, NOW)
    if needs_extension(job, decision):
        [decision] = run(database, extend_many, Extension(job, why, decision, NOW))
    assert record(database, failed(job, why=why, decision=decision)) == [True]
    return decision


def test_a_dearer_fallback_holds_the_difference_first(database):
    # Given credit for the fallback, which costs 500 more
    caller = make_principal(database, credit=HOLD + 500)
    job = submit_and_claim(database, caller, places=THREE, more=500)
    # When the first choice is busy
    assert fall_back(database, job) == Retry(1)
    # Then the difference is held, and everything goes back at the end
    assert job_row(database, job.id).hold_nanos == HOLD + 500
    assert balance(database, caller.workspace_id) == 0
    record(database, finished(claim_one(database, job.id), cost=1_200))
    assert entries(database, job.id) == {
        "extend": -500,
        "hold": -HOLD,
        "settle": HOLD + 500 - 1_200,
    }
    assert balance(database, caller.workspace_id) == HOLD + 500 - 1_200


def test_an_extended_hold_is_released_whole(database):
    caller = make_principal(database, credit=HOLD + 500)
    job = submit_and_claim(database, caller, places=THREE, more=500)
    fall_back(database, job)
    cancel(database, job.id, caller.workspace_id)
    assert balance(database, caller.workspace_id) == HOLD + 500


def test_what_cannot_be_afforded_is_passed_over(database):
    # Given credit for the first choice only, and a third place that costs no more
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller, places=THREE)
    job = dataclasses.replace(job, quotes=[HOLD, 2 * HOLD, HOLD])
    # When the first choice is busy
    assert fall_back(database, job) == Retry(2)
    # Then the place in the middle is skipped and nothing more is held
    assert job_row(database, job.id).provider == "gamma"
    assert entries(database, job.id) == {"hold": -HOLD}


@pytest.mark.parametrize(
    ("why", "state"),
    [
        (BUSY, "queued"),
        (failure(AttemptOutcome.REJECTED, ErrorType.AUTHENTICATION), "failed"),
    ],
)
def test_without_an_affordable_fallback_the_plan_ends_where_it_is(database, why, state):
    # Given a job none of whose fallbacks can be paid for
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller, places=THREE, more=500)
    # When its first choice fails
    decision = fall_back(database, job, why)
    # Then it is as though there were no fallback: the same place later, or the end
    assert isinstance(decision, Retry if state == "queued" else GiveUp)
    row = job_row(database, job.id)
    assert (row.state, row.position, row.hold_nanos) == (state, 0, HOLD)


def test_two_that_fall_back_at_once_never_overspend(database):
    # Given credit for one of two dearer fallbacks
    caller = make_principal(database, credit=2 * HOLD + 500)
    jobs = [submit_and_claim(database, caller, places=THREE, more=500) for _ in range(2)]
    wishes = [Extension(job, BUSY, Retry(1), NOW) for job in jobs]
    # When both move in one group
    first, second = run(database, extend_many, *wishes)
    # Then one does
    assert (first, second.position) == (Retry(1), 0)
    assert balance(database, caller.workspace_id) == 0


def test_an_extension_is_booked_once(database):
    caller = make_principal(database, credit=5 * HOLD)
    job = submit_and_claim(database, caller, places=THREE, more=500)
    wish = Extension(job, BUSY, Retry(1), NOW)
    run(database, extend_many, wish, wish)
    run(database, extend_many, wish)
    assert entries(database, job.id) == {"extend": -500, "hold": -HOLD}


def test_an_attempt_that_is_over_holds_nothing_more(database):
    caller = make_principal(database, credit=5 * HOLD)
    job = submit_and_claim(database, caller, places=THREE, more=500)
    record(database, finished(job))
    assert run(database, extend_many, Extension(job, BUSY, Retry(1), NOW)) == [Retry(1)]
    assert "extend" not in entries(database, job.id)
