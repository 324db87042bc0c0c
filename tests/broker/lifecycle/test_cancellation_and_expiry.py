import pytest

from broker.completion import AttemptOutcome, ErrorType
from broker.enums import JobState, OnUnknown
from broker.errors import ConflictError, NotFoundError
from broker.lifecycle import (
    Cancellation,
    Renewal,
    cancel_many,
    expire,
    record_many,
    renew,
)
from broker.lifecycle.retries import GiveUp, Retry
from broker.queues import Lane
from tests.factories import (
    HOLD,
    NOW,
    attempts,
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
    submit,
    submit_and_claim,
    write,
)

RELEASED = {"hold": -HOLD, "release": HOLD}
UNKNOWN = failure(AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)


@pytest.mark.parametrize("wish", [{}, {"not_before": NOW + 500}, {"lane": Lane.BATCH}])
def test_a_waiting_job_is_cancelled_at_once_and_its_hold_released(database, caller, wish):
    job_id = submit(database, caller, **wish)
    assert cancel(database, job_id, caller.workspace_id, now=NOW + 3) is JobState.CANCELLED
    row = job_row(database, job_id)
    assert (row.state, row.ended_at) == ("cancelled", NOW + 3)
    assert entries(database, job_id) == RELEASED


def test_cancelling_twice_is_no_error_and_releases_once(database, caller):
    # Given two cancellations of one job in a group, and one more later
    job_id = submit(database, caller)
    twice = [Cancellation(job_id, caller.workspace_id, NOW)] * 2
    assert run(database, cancel_many, *twice) == [JobState.CANCELLED] * 2
    assert cancel(database, job_id, caller.workspace_id) is JobState.CANCELLED
    # Then the hold came back once
    assert balance(database, caller.workspace_id) == 0


def test_a_strangers_job_cannot_be_cancelled_nor_seen(database, caller):
    # Given a job, and its owner's and a stranger's wish in one group
    job_id = submit(database, caller)
    stranger = make_principal(database)
    refused = cancel(database, job_id, stranger.workspace_id)
    # Then the stranger hears that there is none, and the job lives
    assert isinstance(refused, NotFoundError)
    assert job_row(database, job_id).state == "queued"
    assert isinstance(cancel(database, "job_none", caller.workspace_id), NotFoundError)


def test_an_ended_job_cannot_be_cancelled(database, caller):
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    assert isinstance(cancel(database, job.id, caller.workspace_id), ConflictError)
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - 300}


def test_a_job_under_review_can_be_called_off(database, caller):
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    record(database, failed(job, why=UNKNOWN))
    assert cancel(database, job.id, caller.workspace_id) is JobState.CANCELLED
    assert entries(database, job.id) == RELEASED


def test_a_running_job_is_called_off_at_its_workers_next_sign_of_life(database, caller):
    # Given two running jobs, one of them cancelled
    job, other = submit_and_claim(database, caller), submit_and_claim(database, caller)
    assert cancel(database, job.id, caller.workspace_id) is JobState.RUNNING
    # When its worker gives a sign of life
    held = {job.id: job.attempt, other.id: other.attempt}
    renewal = write(database, renew, "worker-1", NOW + 1, held)
    # Then it hears of it, and stopping ends the job without a charge
    assert renewal == Renewal(cancelled=[job.id], lost=[])
    stopped = failure(AttemptOutcome.CANCELLED, ErrorType.UNMAPPED)
    assert record(database, failed(job, why=stopped)) == [True]
    assert job_row(database, job.id).state == "cancelled"
    assert attempts(database, job.id) == [(1, "cancelled")]
    assert entries(database, job.id) == RELEASED


def test_an_answer_that_was_faster_than_the_cancellation_counts(database, caller):
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    assert record(database, finished(job)) == [True]
    assert job_row(database, job.id).state == "completed"


@pytest.mark.parametrize(
    "why", [failure(), UNKNOWN, failure(AttemptOutcome.INTERRUPTED, ErrorType.UNMAPPED)]
)
def test_a_cancelled_job_is_not_tried_again(database, caller, why):
    # Given a running job that its caller cancelled
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    # When its attempt fails in a way that would be tried again
    ending = failed(job, why=why)
    assert isinstance(ending.decision, Retry)
    [written] = run(database, record_many, ending)
    assert written.decision == GiveUp(JobState.CANCELLED)  # its worker is told so
    # Then the job ends as cancelled: no provider is called for it any more
    assert job_row(database, job.id).state == "cancelled"
    assert attempts(database, job.id) == [(1, why.outcome.value)]
    assert entries(database, job.id) == RELEASED
    assert claim_one(database, job.id, now=NOW + 3_600_000) is None


def test_waiting_jobs_past_their_deadline_expire(database, caller):
    # Given jobs that wait: queued, scheduled, in a batch, for a retry; and one that runs
    deadline = NOW + 50_000
    waiting = [
        submit(database, caller, deadline=deadline),
        submit(database, caller, deadline=deadline, not_before=NOW + 90_000),
        submit(database, caller, deadline=deadline, lane=Lane.BATCH),
    ]
    retried = submit_and_claim(database, caller, deadline=deadline)
    record(database, failed(retried, decision=Retry(0, delay=49)))
    waiting.append(retried.id)
    running = submit_and_claim(database, caller, deadline=deadline)
    later = submit(database, caller, deadline=deadline + 1)
    # When their deadline passes
    assert write(database, expire, deadline - 1) == 0
    assert write(database, expire, deadline) == 4
    # Then they end with their holds released; what runs may finish
    for job_id in waiting:
        row = job_row(database, job_id)
        assert (row.state, row.ended_at) == ("expired", deadline)
        assert "deadline" in row.error
        assert entries(database, job_id) == RELEASED
    assert job_row(database, running.id).state == "running"
    assert job_row(database, later).state == "queued"
    assert write(database, expire, deadline) == 0
