import pytest

from broker import lifecycle
from broker.completion import AttemptOutcome, ErrorType
from broker.enums import OnUnknown
from broker.errors import ConflictError, NotFoundError
from broker.queues import Ready
from tests.factories import (
    HOLD,
    NOW,
    attempts,
    claim_one,
    entries,
    failed,
    failure,
    finished,
    job_row,
    make_principal,
    record,
    submit,
    submit_and_claim,
    write,
)


@pytest.fixture
def held(database, caller):
    """A job that waits for its owner's decision."""
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD, max_attempts=1)
    record(database, failed(job, why=failure(AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)))
    return job.id


def reopen(database, job_id, workspace_id):
    return write(database, lifecycle.reopen, job_id, workspace_id, NOW + 9)


def test_a_reopened_job_is_tried_again_and_charged_once(database, caller, held):
    # When its owner wants the job to be tried again
    assert reopen(database, held, caller.workspace_id) == Ready(held, "alpha", "interactive")
    # Then it runs with fresh attempts, numbered on, under the hold it has
    again = claim_one(database, held, now=NOW + 9)
    assert (again.attempt, again.attempts_used) == (2, 1)
    record(database, finished(again))
    assert attempts(database, held) == [(1, "unknown"), (2, "ok")]
    assert entries(database, held) == {"hold": -HOLD, "settle": HOLD - 300}


def test_only_its_owner_reopens_a_job_and_only_one_under_review(database, caller, held):
    stranger = make_principal(database).workspace_id
    with pytest.raises(NotFoundError):
        reopen(database, held, stranger)
    assert job_row(database, held).state == "needs_review"
    running = submit_and_claim(database, caller)
    for job_id in (running.id, submit(database, caller)):
        with pytest.raises(ConflictError):
            reopen(database, job_id, caller.workspace_id)
    assert job_row(database, running.id).state == "running"


def test_a_job_reopened_twice_is_queued_once(database, caller, held):
    reopen(database, held, caller.workspace_id)
    claim_one(database, held, now=NOW + 9)
    with pytest.raises(ConflictError):
        reopen(database, held, caller.workspace_id)
    assert attempts(database, held) == [(1, "unknown"), (2, None)]
