import orjson
import pytest

from broker.completion import AttemptOutcome, ErrorType
from broker.enums import JobState, OnUnknown
from broker.events import job_events, stored_logs
from broker.events.job_events import Event
from broker.jobs import reports
from broker.jobs.searches import JobSearch
from broker.jobs.states import INACTIVE
from broker.lifecycle import Deferral, defer_many, expire
from broker.lifecycle.retries import GiveUp, Retry
from broker.providers.pacing import Busy, Cause
from broker.queues import Lane
from broker.routing.waiting import Congestion
from tests.factories import (
    LEASE,
    NOW,
    cancel,
    claim_one,
    failed,
    failure,
    finished,
    make_principal,
    record,
    rescue,
    run,
    submit,
    submit_and_claim,
    write,
)

COMPLETED = JobSearch(state=JobState.COMPLETED)
UNKNOWN = failure(AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)


def report(database, caller, job_id):
    return database.read_now(reports.job, caller.workspace_id, job_id)


def told(database, caller, job_id):
    """The types of a job's past events, having checked that they are numbered 1, 2, 3 …"""
    past = reports.past_events(report(database, caller, job_id))
    assert [event.number for event in past] == list(range(1, len(past) + 1))
    return [event.type for event in past]


def test_a_report_has_everything_about_a_job(database, caller):
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    found = report(database, caller, job.id)
    assert (found.job.state, found.payload.response) == ("completed", b'{"answer":1}')
    assert [attempt.number for attempt in found.attempts] == [1]
    assert (found.generation.cost_nanos, found.queue_position) == (300, None)


def test_other_workspaces_jobs_do_not_exist(database, caller):
    # Given a finished job of another workspace
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    stranger = make_principal(database).workspace_id
    # Then nothing of it is found
    assert database.read_now(reports.job, stranger, job.id) is None
    assert database.read_now(reports.jobs, stranger, 10) == []


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({"end_user": "ann"}, [1]),
        ({"session_id": "s-2"}, [2]),
        ({"app": "Tool"}, [3]),
        ({"metadata": {"order": "42"}}, [1]),
        ({"metadata": {"order": "42", "site": "x"}}, []),
        ({"metadata": {'we"ird.key': "v"}}, [2]),
        ({"trace_id": "t-3"}, [3]),
        ({"model": "acme/none"}, []),
        ({}, [1, 2, 3]),
    ],
)
def test_jobs_are_found_by_what_their_callers_said_of_them(database, caller, search, found):
    # Given jobs that say for whom, of which session, and more
    ids = [
        submit(database, caller, body={"user": "ann", "metadata": {"order": "42"}}),
        submit(
            database, caller, session_id="s-2", extra={"metadata": {'we"ird.key': "v", "a": "b"}}
        ),
        submit(database, caller, app="Tool", body={"trace": {"trace_id": "t-3"}}),
    ]
    # Then each can be found by it
    query = (caller.workspace_id, 10, None, JobSearch(**search))
    rows = database.read_now(reports.jobs, *query)
    assert sorted(row.job.id for row in rows) == sorted(ids[number - 1] for number in found)


def test_jobs_are_listed_newest_first_page_by_page(database, caller):
    ids = sorted((submit(database, caller) for _ in range(5)), reverse=True)
    pages = []
    after = None
    while page := database.read_now(reports.jobs, caller.workspace_id, 2, after):
        pages.append([row.job.id for row in page])
        after = pages[-1][-1]
    assert pages == [ids[:2], ids[2:4], ids[4:]]


def test_jobs_are_filtered_by_state_and_show_their_cost(database, caller):
    submit(database, caller)
    job = submit_and_claim(database, caller)
    record(database, finished(job, cost=42))
    rows = database.read_now(reports.jobs, caller.workspace_id, 10, None, COMPLETED)
    assert [(row.job.id, row.cost_nanos) for row in rows] == [(job.id, 42)]


def test_queue_position_counts_who_is_ahead_on_the_same_queue(database, caller):
    # Given jobs on two providers and both lanes, in order of arrival
    first = submit(database, caller, now=NOW)
    elsewhere = submit(database, caller, now=NOW + 1, places=[("beta", "acme/small")])
    batch = submit(database, caller, now=NOW + 2, lane=Lane.BATCH)
    second = submit(database, caller, now=NOW + 3)

    def position(job_id):
        return report(database, caller, job_id).queue_position

    # Then batch jobs never count ahead of interactive ones
    assert [position(id_) for id_ in (first, second, elsewhere, batch)] == [0, 1, 0, 1]
    # and whoever is running is no longer in the queue
    claim_one(database, first, now=NOW + 4)
    assert [position(id_) for id_ in (first, second)] == [None, 0]


def test_settled_names_those_who_need_not_wait(database, caller):
    done, held, again = (
        submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD) for _ in range(3)
    )
    record(database, finished(done), failed(held, why=UNKNOWN), failed(again, decision=Retry(0)))
    found = database.read_now(reports.settled, [done.id, held.id, again.id, "job_none"])
    assert sorted(found) == sorted([done.id, held.id])


def test_counts_tell_what_has_not_ended(database, caller):
    submit(database, caller, now=NOW + 7)
    submit(database, caller, now=NOW + 5)
    submit_and_claim(database, caller, lane=Lane.BATCH)
    record(database, finished(submit_and_claim(database, caller)))
    held = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD, max_attempts=1)
    record(database, failed(held, why=UNKNOWN))
    assert sorted(map(tuple, database.read_now(reports.count_open))) == [
        ("alpha", "batch", "running", 1, NOW),
        ("alpha", "interactive", "needs_review", 1, NOW),
        ("alpha", "interactive", "queued", 2, NOW + 5),
    ]


def test_a_queue_is_as_old_as_the_first_time_its_oldest_job_was_due(database, caller):
    """A job that is put off again and again did not come a moment ago."""
    job_id = submit(database, caller, now=NOW)
    for looked in range(NOW + 1_000, NOW + 600_000, 60_000):
        busy = Busy("alpha", Cause.RATE_LIMIT, looked + 4_000)
        run(database, defer_many, Deferral(job_id, looked, busy, Congestion()))
    assert list(map(tuple, database.read_now(reports.count_open))) == [
        ("alpha", "interactive", "queued", 1, NOW)
    ]


def retried(database, caller, **wish):
    """A job that waits after a failed attempt: `started` 1 and `retrying` 2 were told."""
    job = submit_and_claim(database, caller, **wish)
    record(database, failed(job, decision=Retry(0, delay=60)))
    return job.id


def test_events_of_a_job_nobody_claimed_yet(database, caller):
    assert told(database, caller, submit(database, caller)) == []


def test_events_of_a_job_that_succeeds_at_the_second_try(database, caller):
    job_id = retried(database, caller)
    assert told(database, caller, job_id) == ["started", "retrying"]
    again = claim_one(database, job_id, now=NOW + 60_000)
    assert told(database, caller, job_id) == ["started", "retrying", "started"]
    record(database, finished(again))
    assert told(database, caller, job_id) == ["started", "retrying", "started", "completed"]


def test_the_last_event_brings_the_answer(database, caller):
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    end = orjson.loads(reports.past_events(report(database, caller, job.id))[-1].data)
    assert (end["status"], end["response"]) == ("completed", {"answer": 1})


def test_a_job_cancelled_while_it_waits_for_a_retry_ends_after_what_was_told(database, caller):
    # Given a reader who has seen events 1 and 2
    job_id = retried(database, caller)
    # When the job is cancelled while it waits
    cancel(database, job_id, caller.workspace_id)
    # Then its end has a number the reader has not seen
    assert told(database, caller, job_id) == ["started", "retrying", "cancelled"]


def test_a_job_that_expires_while_it_waits_for_a_retry_ends_after_what_was_told(database, caller):
    job_id = retried(database, caller, deadline=NOW + 70_000)
    assert write(database, expire, NOW + 70_000) == 1
    assert told(database, caller, job_id) == ["started", "retrying", "expired"]


@pytest.mark.parametrize(
    ("why", "decision", "end"),
    [
        (failure(), GiveUp(), "failed"),
        (failure(), GiveUp(JobState.EXPIRED), "expired"),
        (failure(AttemptOutcome.CANCELLED), None, "cancelled"),
        (UNKNOWN, None, "needs_review"),
    ],
)
def test_an_attempt_that_ends_its_job_is_not_told_as_retried(database, caller, why, decision, end):
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    record(database, failed(job, why=why, decision=decision))
    assert told(database, caller, job.id) == ["started", end]


def test_a_job_called_off_in_flight_ends_after_the_retry_its_worker_told(database, caller):
    # Given a cancelled job whose worker, unaware of it, told `retrying`
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    record(database, failed(job, decision=Retry(0)))
    assert told(database, caller, job.id) == ["started", "retrying", "cancelled"]


def test_a_lost_attempt_is_told_as_retried(database, caller):
    job = submit_and_claim(database, caller)
    rescue(database, now=NOW + LEASE + 1)
    assert told(database, caller, job.id) == ["started", "retrying"]


def test_a_streams_stored_log_is_given_back_as_it_was(database, caller):
    log = [Event(1, "started", b"{}"), Event(2, "chunk", b'{"a": "b c"}'), Event(3, "x", b"1")]
    job = submit_and_claim(database, caller, body={"stream": True})
    record(database, finished(job, events=stored_logs.pack(log)))
    assert database.read_now(reports.open_log(report(database, caller, job.id)).page) == log


def test_the_end_of_a_lost_log_is_above_all_events_that_a_reader_may_have(database, caller):
    # Given a stream that was ended without its worker
    job = submit_and_claim(database, caller, body={"stream": True})
    cancel(database, job.id, caller.workspace_id)
    rescue(database, now=NOW + LEASE + 1)
    found = report(database, caller, job.id)
    [*_, end] = reports.past_events(found)
    # Then a reader of many chunks still gets the end, and after that nothing
    assert (end.type, end.number) == ("cancelled", reports.END_OF_LOST_LOG)
    assert not database.read_now(reports.is_read_to_end, found, 500)
    assert database.read_now(reports.is_read_to_end, found, end.number)


def test_a_reader_has_read_a_log_only_with_its_last_event(database, caller):
    job = submit_and_claim(database, caller)
    assert not database.read_now(reports.is_read_to_end, report(database, caller, job.id), 9)
    record(database, finished(job))
    found = report(database, caller, job.id)
    read = [database.read_now(reports.is_read_to_end, found, after) for after in range(4)]
    assert read == [False, False, True, True]


def test_every_settled_state_is_an_end_to_readers():
    assert {state.value for state in INACTIVE} == job_events.ENDS


def test_a_nul_in_one_jobs_metadata_does_not_end_every_search(database, caller):
    # Given a job that carries a NUL, which PostgreSQL's JSONB refuses, and two that do not
    submit(database, caller, body={"metadata": {"order": "4\0"}})
    plain = submit(database, caller, body={"metadata": {"order": "42"}})
    slashed = submit(database, caller, body={"metadata": {"order": "\\u0001"}})
    # When a caller looks for what the others carry
    found = [
        database.read_now(reports.jobs, caller.workspace_id, 10, None, JobSearch(metadata=pair))
        for pair in ({"order": "42"}, {"order": "\\u0001"})
    ]
    # Then they are found
    assert [[row.job.id for row in rows] for rows in found] == [[plain], [slashed]]
