"""The leader publishes due jobs, and handles those that cannot run."""

from types import SimpleNamespace
from unittest import mock

import orjson
import pytest

from broker import accounts
from broker.clock import now_ms
from broker.lifecycle import expire
from broker.lifecycle.retries import Retry
from broker.providers.pacing import Throttles
from broker.providers.pauses import LivePauses
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
from workers.services.dispatcher import Dispatcher

GONE = ("gone", "acme/small")
ALSO_GONE = ("also-gone", "acme/small")
BETA = ("beta", "acme/small")


class Worker:
    """The tools of a worker that knows some providers, as far as dispatching needs them."""

    def __init__(self, redis, database, *providers):
        limits = SimpleNamespace(max_concurrency=10, requests_per_minute=0, tokens_per_minute=0)
        self.redis, self.database, self.worker_id = redis, database, "worker-1"
        self.routes = {slug: SimpleNamespace(limits=limits) for slug in providers}
        self.limiter = Limiter(redis, database)
        self.throttles = Throttles()
        self.pauses = LivePauses(database)
        self.pacer = SimpleNamespace(find_denials=lambda lane, now: {})
        self.publisher = self
        self.published = []

    def publish(self, provider, lane, job_ids):
        self.published += [(provider, job_id) for job_id in job_ids]

    def publish_deliveries(self, delivery_ids):
        assert not delivery_ids


def waiting(database, lane, *places):
    """A job that was published, and that nobody claimed."""
    submitted = now_ms() - REDISPATCH_MS
    caller = make_principal(database)
    return submit(database, caller, now=submitted, lane=lane, places=places)


@pytest.mark.parametrize("lane", list(Lane))
async def test_they_move_on_along_their_plan_at_no_cost(redis, database, lane):
    job_id = waiting(database, lane, GONE, ALSO_GONE, BETA)
    worker = Worker(redis, database, "beta")
    await Dispatcher(worker).dispatch()
    assert worker.published == [("beta", job_id)]
    row = job_row(database, job_id)
    assert (row.provider, row.position, row.attempts_used) == ("beta", 2, 0)


@pytest.mark.parametrize("known", [[], ["beta"]])
@pytest.mark.parametrize("lane", list(Lane))
async def test_without_a_fallback_they_wait_and_say_what_for(redis, database, lane, known):
    job_id = waiting(database, lane, GONE, ALSO_GONE)
    worker = Worker(redis, database, *known)
    await Dispatcher(worker).dispatch()
    assert worker.published == []
    row = job_row(database, job_id)
    assert orjson.loads(row.waiting_for)["reason"] == "not_configured"
    # And the error tells it, should nobody bring the provider back
    write(database, expire, row.deadline_at)
    ended = job_row(database, job_id)
    assert ended.state == "expired"
    assert "waited for gone (not configured)" in orjson.loads(ended.error)["message"]


@pytest.fixture
def worker(redis, database):
    return Worker(redis, database, "alpha")


async def dispatched(worker, now):
    """Look once, at this moment; return what was published."""
    worker.published.clear()
    with mock.patch("workers.services.dispatcher.now_ms", return_value=now):
        await Dispatcher(worker).dispatch()
    return [job_id for _, job_id in worker.published]


@pytest.mark.parametrize("whose", ["key", "workspace"])
async def test_jobs_for_later_wait_for_a_place_among_the_open_ones(worker, database, whose):
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
    assert await dispatched(worker, now) == []
    # Given that all their time has come, two go and the third waits, however often one looks
    later = due + 100
    assert sorted(await dispatched(worker, later)) == sorted([first, second, free])
    assert await dispatched(worker, later + 2_000) == []
    assert job_row(database, third).state == "scheduled"
    # Until one of them has ended
    record(database, finished(claim_one(database, first, now=later), now=later))
    assert await dispatched(worker, later + 4_000) == [third]


async def test_a_job_that_has_its_place_does_not_wait_for_itself(worker, database):
    caller, now = make_principal(database), now_ms()
    with database.transaction() as connection:
        accounts.change_key(connection, caller.api_key_id, {"max_concurrent_jobs": 1})
    job = submit(database, caller, now=now, not_before=now + 1_000)
    # Given a leader that dies between counting the job and publishing it
    killed = mock.patch(
        "workers.services.dispatcher.dispatch_due", side_effect=RuntimeError("killed")
    )
    with killed, pytest.raises(RuntimeError):
        await dispatched(worker, now + 2_000)
    assert await dispatched(worker, now + 3_000) == [job]


async def test_what_falls_out_of_a_providers_batch_waits_for_a_place_too(worker, database):
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
        [job_id] = await dispatched(worker, later)
        jobs.remove(job_id)
        record(database, finished(claim_one(database, job_id, now=later), now=later))
    assert jobs == []
