"""A background answer is handed from an interrupted attempt to the next one, and to no other."""

import pytest

from broker.completion import AttemptOutcome, BackgroundAnswer, ErrorType
from broker.enums import OnUnknown
from broker.lifecycle import BegunAnswer, Deferral, defer_many, store_begun_answers
from broker.lifecycle.background_answers import MOST_CONTINUATIONS
from broker.lifecycle.retries import Retry
from broker.providers.pacing import Busy, Cause
from broker.routing.waiting import Congestion
from tests.factories import (
    HOLD,
    LEASE,
    NOW,
    attempts,
    cancel,
    claim_one,
    entries,
    failed,
    failure,
    finished,
    job_row,
    record,
    rescue,
    run,
    submit_and_claim,
)

TWO = [("alpha", "acme/small"), ("beta", "acme/large")]
ANSWER = BackgroundAnswer("resp_1", "https://alpha.test/resp_1")
SHUT_DOWN = failure(AttemptOutcome.INTERRUPTED, ErrorType.WORKER_LOST)


def begin(database, job, answer=ANSWER):
    run(database, store_begun_answers, BegunAnswer(job.id, job.attempt, answer))


def lose(database, job, *, now=NOW):
    """Lose the worker of a job, and claim the job for another one."""
    late = now + LEASE + 1
    rescue(database, now=late)
    return claim_one(database, job.id, owner="worker-2", now=late)


@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_the_answer_of_a_lost_worker_is_fetched_by_the_next_attempt(database, caller, on_unknown):
    job = submit_and_claim(database, caller, on_unknown=on_unknown, max_attempts=1)
    assert job.background is None
    begin(database, job)
    again = lose(database, job)
    assert (again.attempt, again.attempts_used, again.background) == (2, 1, ANSWER)
    assert attempts(database, job.id) == [(1, "interrupted"), (2, None)]
    assert record(database, finished(again))
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - 300}


def test_the_answer_outlives_several_workers_but_not_a_job_that_ends_them(database, caller):
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    begin(database, job)
    for number in range(MOST_CONTINUATIONS):
        job = lose(database, job, now=NOW + number * 2 * LEASE)
        assert job.background == ANSWER
    assert lose(database, job, now=NOW + 20 * LEASE) is None
    assert job_row(database, job.id).state == "needs_review"


def test_the_answer_of_a_worker_that_was_shut_down_is_fetched(database, caller):
    job = submit_and_claim(database, caller)
    begin(database, job)
    assert record(database, failed(job, why=SHUT_DOWN))
    assert claim_one(database, job.id).background == ANSWER


def test_another_endpoint_does_not_have_the_answer(database, caller):
    job = submit_and_claim(database, caller, places=TWO)
    begin(database, job)
    assert record(database, failed(job, why=SHUT_DOWN, decision=Retry(1)))
    assert claim_one(database, job.id).background is None


def test_an_attempt_that_failed_leaves_no_answer(database, caller):
    job = submit_and_claim(database, caller)
    begin(database, job)
    assert record(database, failed(job, decision=Retry(0)))
    assert claim_one(database, job.id).background is None


def test_an_attempt_that_has_ended_begins_no_answer(database, caller):
    job = submit_and_claim(database, caller)
    rescue(database, now=NOW + LEASE + 1)
    begin(database, job)
    assert attempts(database, job.id) == [(1, "unknown")]
    assert claim_one(database, job.id, now=NOW + LEASE + 1).background is None


def test_a_cancelled_job_does_not_fetch_it(database, caller):
    job = submit_and_claim(database, caller)
    begin(database, job)
    cancel(database, job.id, caller.workspace_id)
    assert lose(database, job) is None
    assert job_row(database, job.id).state == "cancelled"


@pytest.mark.parametrize("claimed", [False, True])
def test_a_job_waits_for_the_endpoint_that_makes_its_answer(database, caller, claimed):
    job = submit_and_claim(database, caller, places=TWO)
    begin(database, job)
    assert record(database, failed(job, why=SHUT_DOWN))
    attempt = claim_one(database, job.id).attempt if claimed else None
    busy = Busy("alpha", Cause.RATE_LIMIT, NOW + 4_000)
    [moved] = run(database, defer_many, Deferral(job.id, NOW, busy, Congestion(), attempt))
    assert moved is None
    assert job_row(database, job.id).position == 0
    assert claim_one(database, job.id, now=NOW + 5_000).background == ANSWER
