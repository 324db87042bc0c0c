"""The leader counts the jobs that ended, each once, as it seals their entries."""

import pytest
from sqlalchemy import func, select

from broker.billing import ledger
from broker.events import signals
from broker.lifecycle.retries import GiveUp
from broker.queues import Lane
from broker.rate_limits import Limiter
from broker.storage.tables import LedgerEntry
from tests.factories import (
    cancel,
    count,
    failed,
    finished,
    make_principal,
    record,
    submit,
    submit_and_claim,
)  # fmt: skip
from tests.workers.parts import Publisher, make_routes, pacing_of
from workers.services.dispatcher import Dispatcher
from workers.services.leader_election import LeaderElection


@pytest.fixture
async def dispatcher(database, redis):
    routes = make_routes("alpha")
    async with pacing_of(database, redis, routes) as pacing:
        yield Dispatcher(
            election=LeaderElection(redis, "dispatcher", "worker-1"),
            database=database,
            redis=redis,
            publisher=Publisher(),
            limiter=Limiter(redis, database),
            routes=routes,
            pauses=pacing.pauses,
            pacing=pacing,
        )


async def test_ended_jobs_are_counted_by_their_final_status(database, redis, dispatcher):
    caller = make_principal(database)
    for _ in range(2):
        record(database, finished(submit_and_claim(database, caller)))
    job = submit_and_claim(database, caller, lane=Lane.BATCH)
    record(database, failed(job, decision=GiveUp()))
    cancel(database, submit(database, caller), caller.workspace_id)
    submit(database, caller)  # and one that waits
    for _ in range(2):
        await dispatcher.chain_entries()
    assert await signals.read_ended(redis) == [
        ("alpha", "batch", "failed", 1),
        ("alpha", "interactive", "cancelled", 1),
        ("alpha", "interactive", "completed", 2),
    ]


async def test_more_entries_than_go_into_one_look_are_sealed_at_once(database, dispatcher):
    caller = make_principal(database)
    jobs = [submit(database, caller) for _ in range(ledger.CHAIN_GROUP + 1)]
    await dispatcher.chain_entries()
    assert count(database, LedgerEntry) == len(jobs)
    with database.transaction() as connection:
        numbered = connection.execute(select(func.count(LedgerEntry.sequence))).scalar_one()
    assert numbered == len(jobs)
