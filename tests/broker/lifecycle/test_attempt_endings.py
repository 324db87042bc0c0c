from dataclasses import replace

import pytest

from broker import submission
from broker.completion import AttemptOutcome, ErrorType
from broker.enums import JobState, OnUnknown
from broker.lifecycle import record_many
from broker.lifecycle.retries import GiveUp, Retry
from broker.queues import REDISPATCH_MS
from tests.factories import (
    HOLD,
    NOW,
    SMALL,
    attempts,
    balance,
    cancel,
    claim_one,
    entries,
    failed,
    failure,
    finished,
    generations,
    job_row,
    make_new_job,
    make_principal,
    record,
    rescue,
    run,
    submit_and_claim,
)

TWO = [("alpha", "acme/small"), ("beta", "acme/large")]
UNKNOWN = failure(AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)
RELEASED = {"hold": -HOLD, "release": HOLD}


def test_an_answer_completes_the_job_and_charges_its_cost(database):
    # Given a job of a caller with credit
    caller = make_principal(database, credit=5_000)
    job = submit_and_claim(database, caller)
    # When its attempt brings an answer
    assert record(database, finished(job, now=NOW + 9, cost=300)) == [True]
    # Then answer, cost and settlement are there together, and the lease is gone
    row = job_row(database, job.id)
    assert (row.state, row.ended_at, row.lease_owner, row.lease_expires_at) == (
        "completed",
        NOW + 9,
        None,
        None,
    )
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - 300}
    assert balance(database, caller.workspace_id) == 5_000 - 300
    assert attempts(database, job.id) == [(1, "ok")]
    assert [row.cost_nanos for row in generations(database, job.id)] == [300]


def test_an_answer_recorded_twice_is_charged_once(database, caller):
    # Given an answer that is on record
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    # When it is recorded again, alone and doubled in one group
    again = [record(database, finished(job)), record(database, finished(job), finished(job))]
    # Then nothing changes
    assert again == [[False], [False, False]]
    assert balance(database, caller.workspace_id) == -300


def test_a_doubled_answer_in_one_group_is_charged_once(database, caller):
    job = submit_and_claim(database, caller)
    assert record(database, finished(job), finished(job)) == [True, False]
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - 300}


def reclaimed(database, caller):
    """A job whose first worker was lost and that a second one runs now: (old, new)."""
    old = submit_and_claim(database, caller, owner="worker-1")
    rescue(database, now=NOW + 100_000)
    return old, claim_one(database, old.id, owner="worker-2", now=NOW + 100_000)


def test_a_late_worker_cannot_finish_its_successors_attempt(database, caller):
    # Given a job that another worker took over
    old, new = reclaimed(database, caller)
    # When the first worker comes back with an answer, and with a failure
    assert record(database, finished(old, cost=999)) == [False]
    assert record(database, failed(old, decision=GiveUp())) == [False]
    # Then the successor's attempt is untouched and its answer is the one that counts
    assert attempts(database, old.id) == [(1, "unknown"), (2, None)]
    assert record(database, finished(new, cost=300)) == [True]
    assert entries(database, new.id) == {"hold": -HOLD, "settle": HOLD - 300}


def test_a_late_worker_in_the_same_group_does_not_shut_out_its_successor(database, caller):
    # Given both attempts' endings in one group, the late one first
    old, new = reclaimed(database, caller)
    # When the group is recorded
    recorded = record(database, finished(old, cost=999), finished(new, cost=300))
    # Then the successor's answer is kept
    assert recorded == [False, True]
    assert job_row(database, new.id).state == "completed"


def test_cancelled_job_is_not_overwritten_by_late_worker(database, caller):
    # Given a job whose worker was lost and which was then cancelled
    job = submit_and_claim(database, caller)
    rescue(database, now=NOW + 100_000)
    cancel(database, job.id, caller.workspace_id)
    # When the worker comes back with an answer
    assert record(database, finished(job)) == [False]
    # Then the job stays cancelled and uncharged
    assert job_row(database, job.id).state == "cancelled"
    assert entries(database, job.id) == RELEASED


def test_an_ending_that_cannot_be_stored_leaves_no_trace(database, caller):
    # Given an ending whose generation breaks a constraint
    job = submit_and_claim(database, caller)
    ending = finished(job)
    broken = replace(ending, generation=ending.generation._replace(provider=None))
    # When it is recorded
    with pytest.raises(Exception, match="provider"):
        record(database, broken)
    # Then the attempt is still open and nothing was booked
    assert attempts(database, job.id) == [(1, None)]
    assert entries(database, job.id) == {"hold": -HOLD}
    assert record(database, finished(job)) == [True]


def test_a_fallback_is_queued_at_its_own_provider_at_once(database, caller):
    # Given a job with a fallback
    job = submit_and_claim(database, caller, places=TWO)
    # When its first provider refuses it
    record(database, failed(job, now=NOW + 5, decision=Retry(1)))
    # Then it waits on the other provider's queue, its hold untouched
    row = job_row(database, job.id)
    assert (row.state, row.provider, row.position, row.tries_here) == ("queued", "beta", 1, 0)
    assert (row.available_at, row.dispatch_at) == (NOW + 5, NOW + 5 + REDISPATCH_MS)
    assert (row.lease_owner, row.lease_expires_at) == (None, None)
    assert entries(database, job.id) == {"hold": -HOLD}
    assert claim_one(database, job.id, now=NOW + 5).endpoint.provider == "beta"


def test_a_retry_waits_for_its_time_and_is_then_published(database, caller):
    # Given a job that is to be tried again in two seconds
    job = submit_and_claim(database, caller)
    record(database, failed(job, decision=Retry(0, delay=2.0)))
    # Then it cannot be claimed before, and the dispatcher looks at it just then
    assert job_row(database, job.id).dispatch_at == NOW + 2_000
    assert claim_one(database, job.id, now=NOW + 1_999) is None
    again = claim_one(database, job.id, now=NOW + 2_000)
    assert (again.attempt, again.attempts_used, again.tries_here) == (2, 2, 2)


@pytest.mark.parametrize(
    ("decision", "state"),
    [(GiveUp(), "failed"), (GiveUp(JobState.EXPIRED), "expired")],
)
def test_a_job_given_up_says_why_and_costs_nothing(database, caller, decision, state):
    job = submit_and_claim(database, caller)
    record(database, failed(job, now=NOW + 5, decision=decision))
    row = job_row(database, job.id)
    assert (row.state, row.ended_at, row.lease_owner) == (state, NOW + 5, None)
    assert "rate_limit_exceeded" in row.error
    assert entries(database, job.id) == RELEASED
    assert balance(database, caller.workspace_id) == 0


def test_an_unknown_outcome_under_hold_waits_for_its_owner_with_its_money(database, caller):
    # Given a job whose owner wants to decide
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    # When its provider falls silent after the request was sent
    ending = failed(job, why=UNKNOWN)
    assert ending.decision == GiveUp(JobState.NEEDS_REVIEW)
    record(database, ending)
    # Then the job is kept, not ended, not run, and its hold stays
    row = job_row(database, job.id)
    assert (row.state, row.ended_at, row.lease_owner) == ("needs_review", None, None)
    assert entries(database, job.id) == {"hold": -HOLD}
    assert claim_one(database, job.id) is None


def test_an_interrupted_attempt_costs_the_job_no_attempt(database, caller):
    # Given a job with a single attempt, interrupted by our shutdowns again and again
    job = submit_and_claim(database, caller, max_attempts=1)
    for number in (1, 2, 3):
        interruption = failure(AttemptOutcome.INTERRUPTED, ErrorType.UNMAPPED)
        record(database, failed(job, why=interruption))
        # Then it is queued at once, each try on record
        job = claim_one(database, job.id)
        assert (job.attempt, job.attempts_used, job.tries_here) == (number + 1, 1, 1)
    # and it can still succeed
    assert record(database, finished(job)) == [True]
    assert attempts(database, job.id) == [
        (1, "interrupted"),
        (2, "interrupted"),
        (3, "interrupted"),
        (4, "ok"),
    ]


def test_a_skipped_endpoint_costs_the_job_no_attempt(database, caller):
    places = (SMALL, ("beta", "acme/small"))
    job = submit_and_claim(database, caller, max_attempts=1, places=places)
    record(database, failed(job, why=failure(AttemptOutcome.SKIPPED, ErrorType.UNMAPPED)))
    job = claim_one(database, job.id)
    assert (job.endpoint.provider, job.attempt, job.attempts_used, job.tries_here) == (
        *("beta", 2, 1, 1),
    )


def test_a_mixed_group_books_each_ending_for_its_own_job(database, caller):
    # Given three running jobs
    done, dropped, again = (submit_and_claim(database, caller) for _ in range(3))
    # When one group ends them in three ways
    with database.transaction() as connection:
        endings = [
            failed(again, decision=Retry(0)),
            finished(done, cost=11),
            failed(dropped, decision=GiveUp()),
        ]
        written = record_many(connection, endings)
    # Then each has its own state and entries
    assert written == endings
    assert [job_row(database, job.id).state for job in (done, dropped, again)] == [
        "completed",
        "failed",
        "queued",
    ]
    assert entries(database, done.id)["settle"] == HOLD - 11
    assert entries(database, dropped.id) == RELEASED
    assert entries(database, again.id) == {"hold": -HOLD}


def test_a_provider_as_wordy_as_it_likes_cannot_break_the_record(database, caller):
    job = submit_and_claim(database, caller)
    wordy = failure()
    wordy = type(wordy)(wordy.outcome, wordy.error_type, "\ud83d\x00 ünïcode " * 1000)
    assert record(database, failed(job, why=wordy, decision=GiveUp())) == [True]
    assert job_row(database, job.id).state == "failed"


def test_a_call_dearer_than_its_hold_is_charged_in_full_and_only_once_over(database):
    # Given credit for one job, whose answer costs more than its hold
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller)
    record(database, finished(job, cost=HOLD + 700))
    # Then the truth is charged, and nothing more is accepted
    assert balance(database, caller.workspace_id) == -700
    [refusal] = run(database, submission.submit_many, make_new_job(caller, hold=1))
    assert refusal.status == 402


def test_prices_are_those_of_the_submission(database, caller):
    # new-api#6172: a price that is read again at settlement
    job = submit_and_claim(database, caller, hold=HOLD)
    assert job.endpoint.price.request == HOLD
