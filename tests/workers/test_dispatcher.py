"""Jobs whose provider was taken out of the configuration: moved on, or waiting with a reason."""

from types import SimpleNamespace

import orjson
import pytest

from broker.clock import now_ms
from broker.database import Database
from broker.lifecycle import expire_many
from broker.migrations import migrate
from broker.pacing import Throttles
from broker.queues import Lane
from broker.submission import REDISPATCH_MS
from tests.factories import job_row, make_principal, run, submit
from workers.dispatcher import Dispatcher

GONE = ("gone", "acme/small")
ALSO_GONE = ("also-gone", "acme/small")
BETA = ("beta", "acme/small")


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'waybill.db'}", sqlite_synchronous="off")
    migrate(database.engine)
    yield database
    database.close()


class Worker:
    """The tools of a worker that knows some providers, as far as dispatching needs them."""

    def __init__(self, redis, database, *providers):
        limits = SimpleNamespace(max_concurrency=10, requests_per_minute=0, tokens_per_minute=0)
        self.redis, self.database, self.worker_id = redis, database, "worker-1"
        self.routes = {slug: SimpleNamespace(limits=limits) for slug in providers}
        self.throttles = Throttles()
        self.pacer = SimpleNamespace(denials=lambda lane, now: {})
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
    run(database, expire_many, row.deadline_at)
    ended = job_row(database, job_id)
    assert ended.state == "expired"
    assert "waited for gone (not configured)" in orjson.loads(ended.error)["message"]
