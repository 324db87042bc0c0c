"""The leader publishes due jobs, and handles those that cannot run."""

from contextlib import asynccontextmanager
from unittest import mock

import orjson
import pytest

from broker import accounts
from broker.clock import now_ms
from broker.lifecycle import expire
from broker.lifecycle.retries import Retry
from broker.queues import REDISPATCH_MS, Lane
from broker.rate_limits import Limiter
from tests.broker.natives import WAIT, collect, held, make_native
from tests.factories import (
    claim_one,
    failed,
    finished,
    job_row,
    make_principal,
    record,
    submit,
    write,
)
from tests.workers.parts import Publisher, make_routes, pacing_of
from workers.services.dispatcher import Dispatcher, find_work
from workers.services.leader_election import LeaderElection

GONE = ("gone", "acme/small")
ALSO_GONE = ("also-gone", "acme/small")
BETA = ("beta", "acme/small")


@asynccontextmanager
async def dispatching(redis, database, *providers):
    """A dispatcher that knows some providers."""
    routes, publisher = make_routes(*providers), Publisher()
    async with pacing_of(database, redis, routes, publisher) as pacing:
        yield Dispatcher(
            election=LeaderElection(redis, "dispatcher", "worker-1"),
            database=database,
            redis=redis,
            publisher=publisher,
            limiter=Limiter(redis, database),
            routes=routes,
            pauses=pacing.pauses,
            pacing=pacing,
        )


def waiting(database, lane, *places):
    """A job that was published, and that nobody claimed."""
    submitted = now_ms() - REDISPATCH_MS
    caller = make_principal(database)
    return submit(database, caller, now=submitted, lane=lane, places=places)


@pytest.mark.parametrize("lane", list(Lane))
async def test_they_move_on_along_their_plan_at_no_cost(redis, database, lane):
    job_id = waiting(database, lane, GONE, ALSO_GONE, BETA)
    async with dispatching(redis, database, "beta") as dispatcher:
        await dispatcher.dispatch()
    assert dispatcher.publisher.jobs == [("beta", job_id)]
    row = job_row(database, job_id)
    assert (row.provider, row.position, row.attempts_used) == ("beta", 2, 0)


@pytest.mark.parametrize("known", [[], ["beta"]])
@pytest.mark.parametrize("lane", list(Lane))
async def test_without_a_fallback_they_wait_and_say_what_for(redis, database, lane, known):
    job_id = waiting(database, lane, GONE, ALSO_GONE)
    async with dispatching(redis, database, *known) as dispatcher:
        await dispatcher.dispatch()
    assert dispatcher.publisher.jobs == []
    row = job_row(database, job_id)
    assert orjson.loads(row.waiting_for)["reason"] == "not_configured"
    # And the error tells it, should nobody bring the provider back
    write(database, expire, row.deadline_at)
    ended = job_row(database, job_id)
    assert ended.state == "expired"
    assert "waited for gone (not configured)" in orjson.loads(ended.error)["message"]


@pytest.fixture
async def dispatcher(redis, database):
    async with dispatching(redis, database, "alpha") as dispatcher:
        yield dispatcher


async def dispatched(dispatcher, now):
    """Dispatch once, at this moment; return what was published."""
    dispatcher.publisher.jobs.clear()
    with mock.patch("workers.services.dispatcher.now_ms", return_value=now):
        await dispatcher.dispatch()
    return [job_id for _, job_id in dispatcher.publisher.jobs]


@pytest.mark.parametrize("whose", ["key", "workspace"])
async def test_jobs_for_later_wait_for_a_place_among_the_open_ones(dispatcher, database, whose):
    caller, now = make_principal(database), now_ms()
    with database.transaction() as connection:
        if whose == "key":
            accounts.change_key(connection, caller.api_key_id, {"max_concurrent_jobs": 2})
        else:
            changes = {"max_concurrent_jobs": 2}
            accounts.change_workspace(connection, caller.workspace_id, changes)
    due = now + 10_000
    first, second, third = (
        submit(database, caller, now=now, not_before=due + place) for place in range(3)
    )
    free = submit(database, make_principal(database), now=now, not_before=due)
    assert await dispatched(dispatcher, now) == []
    # Given that all their time has come, two go and the third waits, however often one looks
    later = due + 100
    assert sorted(await dispatched(dispatcher, later)) == sorted([first, second, free])
    assert await dispatched(dispatcher, later + 2_000) == []
    assert job_row(database, third).state == "scheduled"
    # Until one of them has ended
    record(database, finished(claim_one(database, first, now=later), now=later))
    assert await dispatched(dispatcher, later + 4_000) == [third]


async def test_a_job_that_has_its_place_does_not_wait_for_itself(dispatcher, database):
    caller, now = make_principal(database), now_ms()
    with database.transaction() as connection:
        accounts.change_key(connection, caller.api_key_id, {"max_concurrent_jobs": 1})
    job = submit(database, caller, now=now, not_before=now + 1_000)
    # Given a leader that dies between counting the job and publishing it
    killed = mock.patch(
        "workers.services.dispatcher.dispatch_due", side_effect=RuntimeError("killed")
    )
    with killed, pytest.raises(RuntimeError):
        await dispatched(dispatcher, now + 2_000)
    assert await dispatched(dispatcher, now + 3_000) == [job]


async def test_what_falls_out_of_a_providers_batch_waits_for_a_place_too(dispatcher, database):
    # Given a key that may have one open job, and three of its jobs in a provider's batch
    caller, now = make_principal(database), now_ms()
    with database.transaction() as connection:
        accounts.change_key(connection, caller.api_key_id, {"max_concurrent_jobs": 1})
    jobs = [make_native(database, caller, now=now) for _ in range(3)]
    [batch_id] = collect(database, now=now + WAIT)
    # When the batch answers none of them
    for line in held(database, batch_id):
        record(database, failed(line, now=now + WAIT, decision=Retry(0), announced=False))
    # Then they are done in their ordinary lane one at a time
    for moment in range(1, 4):
        later = now + WAIT + moment * 2_000
        [job_id] = await dispatched(dispatcher, later)
        jobs.remove(job_id)
        record(database, finished(claim_one(database, job_id, now=later), now=later))
    assert jobs == []


async def test_a_step_without_work_writes_nothing(redis, database):
    async with dispatching(redis, database, "acme") as dispatcher:
        with mock.patch.object(type(database), "write", side_effect=AssertionError("a write")):
            await dispatcher.dispatch_and_chain()


@pytest.mark.parametrize("lane", list(Lane))
async def test_a_step_finds_what_is_due_by_itself(redis, database, lane):
    job_id = waiting(database, lane, ("acme", "acme/small"))
    async with dispatching(redis, database, "acme") as dispatcher:
        await dispatcher.dispatch_and_chain()
        assert dispatcher.publisher.jobs == [("acme", job_id)]
        # the hold of the job is chained
        await dispatcher.dispatch_and_chain()
        assert not database.read_now(find_work, now_ms()).has_entries


async def test_an_idle_step_reads_again_only_after_a_change(redis, database):
    async with dispatching(redis, database, "acme") as dispatcher:
        await dispatcher.dispatch_and_chain()
        await dispatcher.dispatch_and_chain()
        if database.is_sqlite:
            with mock.patch.object(type(database), "read", side_effect=AssertionError("a read")):
                await dispatcher.dispatch_and_chain()
        # When a job is there that nobody claimed
        job_id = waiting(database, Lane.BATCH, ("acme", "acme/small"))
        await dispatcher.dispatch_and_chain()
        assert dispatcher.publisher.jobs == [("acme", job_id)]


async def test_a_job_that_is_due_later_is_found_without_a_change(redis, database):
    now = now_ms()
    job_id = waiting(database, Lane.INTERACTIVE, ("acme", "acme/small"))
    async with dispatching(redis, database, "acme") as dispatcher:
        with mock.patch("workers.services.dispatcher.now_ms", return_value=now - 60_000):
            for _ in range(3):
                await dispatcher.dispatch_and_chain()
        assert dispatcher.publisher.jobs == []
        await dispatcher.dispatch_and_chain()
        assert dispatcher.publisher.jobs == [("acme", job_id)]


async def test_an_open_job_expires_though_no_data_changed(redis, database):
    now = now_ms()
    job_id = waiting(database, Lane.INTERACTIVE, ("acme", "acme/small"))
    async with dispatching(redis, database, "acme") as dispatcher:
        for _ in range(2):
            await dispatcher.rescue_and_expire()
        assert job_row(database, job_id).state == "queued"
        with mock.patch("workers.services.dispatcher.now_ms", return_value=now + 10**9):
            await dispatcher.rescue_and_expire()
        assert job_row(database, job_id).state == "expired"


async def test_without_open_work_nothing_is_written_until_the_data_changes(redis, database):
    async with dispatching(redis, database, "acme") as dispatcher:
        await dispatcher.rescue_and_expire()
        if database.is_sqlite:
            with mock.patch.object(type(database), "write", side_effect=AssertionError("a write")):
                await dispatcher.rescue_and_expire()
