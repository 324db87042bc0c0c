import asyncio

import pytest

from broker.dispatch.dispatch import DispatchPoll, DispatchState, dispatch_due
from broker.dispatch.queue_depth import LEAST_AHEAD
from broker.lifecycle.retries import Retry
from broker.queues import REDISPATCH_MS, Lane, Ready
from broker.submission import submit_many
from tests.factories import (
    NOW,
    cancel,
    claim_one,
    failed,
    finished,
    job_row,
    make_new_job,
    record,
    rescue,
    run,
    submit,
    submit_and_claim,
    write,
)

BETA = [("beta", "acme/small")]


def dispatch(database, *, now=NOW, state=None, **rooms):
    """One look; returns the ids of what is to be published."""
    look = DispatchPoll(now, rooms or {"alpha": 4}, state or DispatchState())
    chosen = write(database, dispatch_due, look)
    return [job.job_id for job in chosen]


def submit_batch(database, caller, jobs, **options):
    """Submit batch jobs a millisecond apart; return their ids, oldest first."""
    wish = {"lane": Lane.BATCH} | options
    return [submit(database, caller, **{"now": NOW - jobs + n} | wish) for n in range(jobs)]


def test_a_job_just_published_by_its_submitter_is_left_alone(database, caller):
    submit(database, caller)
    assert dispatch(database, now=NOW + REDISPATCH_MS - 1) == []


def test_a_lost_message_is_published_again_with_growing_patience(database, caller):
    # Given a job whose messages all get lost
    job_id = submit(database, caller)
    # When the dispatcher looks every second for five minutes
    published = [
        second for second in range(300) if job_id in dispatch(database, now=NOW + 1_000 * second)
    ]
    # Then it is published again and again, ever more patiently
    assert published == [15, 30, 60, 120, 240]


def test_a_claimed_job_is_not_published(database, caller):
    submit_and_claim(database, caller)
    assert dispatch(database, now=NOW + 10 * REDISPATCH_MS) == []


def test_a_cancelled_job_is_not_published(database, caller):
    job_id = submit(database, caller)
    cancel(database, job_id, caller.workspace_id)
    assert dispatch(database, now=NOW + 10 * REDISPATCH_MS) == []


def test_a_scheduled_job_is_queued_and_published_at_its_time(database, caller):
    # Given a job for later
    job_id = submit(database, caller, not_before=NOW + 5_000)
    assert dispatch(database, now=NOW + 4_999) == []
    # When its time comes
    assert dispatch(database, now=NOW + 5_000) == [job_id]
    # Then it can be claimed
    assert claim_one(database, job_id, now=NOW + 5_000) is not None


def test_a_retry_is_published_when_its_pause_is_over(database, caller):
    job = submit_and_claim(database, caller)
    record(database, failed(job, decision=Retry(0, delay=3.0)))
    assert dispatch(database, now=NOW + 2_999) == []
    assert dispatch(database, now=NOW + 3_000) == [job.id]


def test_a_message_names_the_queue_the_job_is_on_now(database, caller):
    # Given a job that moved on to its fallback, and whose new message was lost
    job = submit_and_claim(
        database, caller, places=[("alpha", "acme/small"), ("beta", "acme/large")]
    )
    record(database, failed(job, decision=Retry(1)))
    # When it is published again
    chosen = write(database, dispatch_due, DispatchPoll(NOW + REDISPATCH_MS, {}))
    # Then it goes to the fallback's queue
    assert chosen == [Ready(job.id, "beta", "interactive")]


def test_batch_queues_stay_shallow_and_are_fed_in_order(database, caller):
    # Given ten batch jobs for a provider whose queues have room for four
    ids = submit_batch(database, caller, 10)
    # When the dispatcher looks twice
    first, second = dispatch(database, alpha=4), dispatch(database, alpha=4)
    # Then it publishes the oldest few, and no more until some are claimed
    assert (first, second) == (ids[:4], [])
    for job_id in first[:3]:
        claim_one(database, job_id)
    assert dispatch(database, alpha=4) == ids[4:7]


def test_the_feed_follows_what_workers_take_not_what_a_provider_could(database, caller):
    # Given a long batch at a provider with slots for all of it
    ids = submit_batch(database, caller, 600)
    state = DispatchState()

    def look():
        return dispatch(database, state=state, alpha=10_000)

    # When nobody takes what was fed
    first, nothing = look(), look()
    # Then no more comes: little waits ahead of what others will want
    assert (first, nothing) == (ids[:LEAST_AHEAD], [])
    # When all of it is taken, look by look, twice as much comes each time
    taken, fed = [], first
    for _ in range(3):
        for job_id in fed:
            claim_one(database, job_id)
        taken.append(len(fed))
        fed = look()
    assert taken == [LEAST_AHEAD, 2 * LEAST_AHEAD, 4 * LEAST_AHEAD]


def test_what_a_dead_worker_had_fetched_is_published_again_at_once(database, caller):
    # Given a batch job and a call that were published and lie with a worker
    [line] = submit_batch(database, caller, 1)
    call = submit(database, caller)
    assert dispatch(database) == [line]
    assert dispatch(database, now=NOW + 1_000) == []
    # When that worker is known to be dead, though it ran nothing
    rescue(database, now=NOW + 2_000, owner="worker-1")
    # Then nobody waits until the messages count as lost
    assert set(dispatch(database, now=NOW + 2_000)) == {line, call}


def test_finished_batch_jobs_make_room_until_all_are_done(database, caller):
    # Given more batch jobs than a queue takes
    ids = submit_batch(database, caller, 9)
    # When workers do what is published, look by look
    done = []
    while published := dispatch(database, alpha=2):
        for job_id in published:
            record(database, finished(claim_one(database, job_id)))
        done += published
    # Then every job had its turn, once
    assert done == ids


def test_a_provider_nobody_may_call_holds_up_no_other(database, caller):
    # Given a thousand old batch jobs of a full provider, and a young job of an idle one
    run(database, submit_many, *[make_new_job(caller, lane=Lane.BATCH) for _ in range(1_100)])
    [young] = submit_batch(database, caller, 1, places=BETA, now=NOW + 5)
    first = dispatch(database, now=NOW + 10, alpha=1, beta=0)
    assert len(first) == 1
    # When the dispatcher looks
    # Then the idle provider gets its job
    assert dispatch(database, now=NOW + 10, alpha=1, beta=1) == [young]


def test_a_deep_batch_never_delays_an_interactive_job(database, caller):
    submit_batch(database, caller, 20)
    dispatch(database, alpha=1)
    interactive = submit(database, caller)
    assert interactive in dispatch(database, now=NOW + REDISPATCH_MS, alpha=1)


def test_a_batch_job_that_waits_for_a_retry_takes_no_room(database, caller):
    # Given a full batch queue of one, whose job fails and waits an hour
    ids = submit_batch(database, caller, 4)
    for job_id in dispatch(database, alpha=2):
        record(database, failed(claim_one(database, job_id), decision=Retry(0, delay=3_600)))
    # When the dispatcher looks
    # Then the others go
    assert dispatch(database, alpha=2) == ids[2:]


def test_a_rescued_batch_job_is_published_first(database, caller):
    # Given a batch job whose worker was lost, and two that wait
    job = submit_and_claim(database, caller, lane=Lane.BATCH)
    late = NOW + 100_000
    assert [requeued.job_id for requeued in rescue(database, now=late)] == [job.id]
    waiting = submit_batch(database, caller, 2, now=NOW + 1)
    # Then it goes out in its old place, and there is room for one of the others
    published = dispatch(database, now=late, alpha=2)
    assert len(published) == 2
    assert job.id in published
    assert set(published) - {job.id} < set(waiting)


async def test_two_dispatchers_at_once_never_publish_a_job_twice(url, database, connect, caller):
    # Given forty due jobs and two that think they lead
    ids = [submit(database, caller) for _ in range(40)]
    look = DispatchPoll(NOW + REDISPATCH_MS, {})
    # When both look at once
    chosen = await asyncio.gather(
        *[side.write(dispatch_due, look) for side in (database, connect(url))]
    )
    # Then each job is published by one of them
    assert sorted(job.job_id for part in chosen for job in part) == sorted(ids)


@pytest.mark.parametrize("wish", [{}, {"not_before": NOW + 90_000}])
def test_a_job_past_its_deadline_is_looked_at_no_later_than_then(database, caller, wish):
    # Given a job that waits long: its patience grows past its deadline
    job_id = submit(database, caller, deadline=NOW + 40_000, **wish)
    for second in range(41):
        dispatch(database, now=NOW + 1_000 * second)
        # Then the next look never lies behind the deadline, so that it expires in time
        assert job_row(database, job_id).dispatch_at <= NOW + max(40_000, 1_000 * second + 1)
