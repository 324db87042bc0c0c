"""The leases under which steps of batches at providers are taken."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from broker import native_batches
from broker.providers.pauses import LivePauses
from broker.settings import Settings
from tests.broker.natives import WAIT, collect, make_native
from tests.factories import NOW, make_principal
from workers.native_batches import keeper
from workers.native_batches.batch_record import LostLeaseError
from workers.native_batches.keeper import NativeBatchKeeper
from workers.native_batches.step import Step, StepTools


class Steps:
    """Steps that go on until they are told, and then save."""

    def __init__(self):
        self.taken, self.over, self.saved = [], asyncio.Event(), []

    def __call__(self, tools, row):
        self.taken.append(row)
        return SimpleNamespace(take=lambda: self._take(Step(tools, row)))

    async def _take(self, step):
        await self.over.wait()
        try:
            await step._record.save(polls=1)
        except LostLeaseError:
            self.saved.append(False)
        else:
            self.saved.append(True)

    async def begun(self, count):
        async with asyncio.timeout(10):
            while len(self.taken) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
def steps(monkeypatch):
    steps, clock = Steps(), itertools.count(NOW + WAIT)
    monkeypatch.setattr(keeper, "Step", steps)
    monkeypatch.setattr(keeper, "now_ms", lambda: next(clock))
    return steps


@pytest.fixture
def batch_id(database):
    make_native(database, make_principal(database))
    [batch_id] = collect(database)
    return batch_id


def keeper_of(database, **settings):
    tools = StepTools(
        settings=Settings.model_construct(**settings),
        database=database,
        routes={},
        http=None,
        attachments=None,
        booking=None,
    )
    return NativeBatchKeeper(tools, LivePauses(database))


async def test_a_step_whose_lease_lapsed_does_not_go_on_beside_its_own_processes_next(
    database, batch_id, steps
):
    # Given a step whose lease has lapsed, and the same process has taken the batch up again
    process = keeper_of(database, lease_seconds=0, heartbeat_seconds=60)
    going = [asyncio.create_task(process.step())]
    await steps.begun(1)
    going.append(asyncio.create_task(process.step()))
    await steps.begun(2)
    # When both go on, then only the later may
    steps.over.set()
    await asyncio.gather(*going)
    assert [row.id for row in steps.taken] == [batch_id] * 2
    assert sorted(steps.saved) == [False, True]


async def test_a_database_that_is_away_for_a_moment_does_not_end_a_lease(
    database, batch_id, steps, monkeypatch
):
    renewals = []

    def flaky(connection, *arguments):
        renewals.append(len(renewals) == 0)
        if renewals[-1]:
            raise OperationalError("", {}, Exception("away"))
        return native_batches.save_batch(connection, *arguments)

    monkeypatch.setattr(keeper, "save_batch", flaky)
    process = keeper_of(database, lease_seconds=60, heartbeat_seconds=0.01)
    going = asyncio.create_task(process.step())
    async with asyncio.timeout(10):
        while renewals.count(False) < 2:
            await asyncio.sleep(0.01)
    assert not going.done()
    steps.over.set()
    await going
    assert steps.saved == [True]


async def test_it_reads_again_only_after_a_change(database, monkeypatch):
    # Given no job and no batch for which time could create work
    read, asked = database.read, []

    async def reading(*question):
        asked.append(question)
        return await read(*question)

    monkeypatch.setattr(database, "read", reading)
    kept = keeper_of(database)
    await kept.run_due()
    # When nothing has changed since, then SQLite's version is enough
    await kept.run_due()
    assert len(asked) == (1 if database.is_sqlite else 2)
    # When a job has come that waits for a batch, then each look reads
    make_native(database, make_principal(database))
    asked.clear()
    await kept.run_due()
    await kept.run_due()
    assert len(asked) == 2
