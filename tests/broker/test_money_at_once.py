"""Money when several processes work at once: real ones, on PostgreSQL."""

import asyncio
import multiprocessing
import random

import pytest

from broker import ledger
from broker.database import Database
from broker.errors import WaybillError
from broker.lifecycle import (
    Claim,
    Extension,
    claim_many,
    decide,
    extend_many,
    is_dearer,
    record_many,
)
from broker.submission import submit_many
from broker.tables import Job
from tests.factories import (
    HOLD,
    NOW,
    balance,
    count,
    failed,
    finished,
    make_new_job,
    make_principal,
    run,
)

PROCESSES = 3
ROUNDS = 6
PLACES = [("alpha", "m/one"), ("beta", "m/two")]

pytestmark = pytest.mark.service


def work(url, callers, seed):
    """What one process does: submit for everybody, run, fall back, answer, seal."""
    dice = random.Random(seed)
    database = Database(url)
    for _ in range(ROUNDS):
        who = dice.sample(callers, len(callers))  # each in another order
        jobs = [make_new_job(caller, places=PLACES, more=300) for caller in who]
        results = _again(database, submit_many, *jobs)
        for result in results:
            if not isinstance(result, WaybillError):
                _run(database, result.job_id, dice)
        _again(database, ledger.seal_many, NOW)
    database.close()


def _run(database, job_id, dice):
    [job] = _again(database, claim_many, Claim(job_id, "w", NOW, 60_000))
    while job is not None and dice.random() < 0.4:
        ending = failed(job)
        decision = decide(job, ending.failure, NOW)
        if is_dearer(job, decision):
            [decision] = _again(
                database, extend_many, Extension(job, ending.failure, decision, NOW)
            )
        _again(database, record_many, failed(job, decision=decision))
        [job] = _again(database, claim_many, Claim(job_id, "w", NOW, 60_000))
    if job is not None:
        _again(database, record_many, finished(job, cost=dice.randrange(1_500)))


def _again(database, function, *items):
    """Run a storage function as the writer thread does: again where another writer collided."""

    async def write():
        return await asyncio.gather(
            *[database.write(function, item) for item in items], return_exceptions=True
        )

    results = asyncio.run(write())
    broken = [each for each in results if isinstance(each, Exception)]
    assert all(isinstance(each, WaybillError) for each in broken), broken
    return results


def test_the_books_hold_after_processes_that_worked_at_once(postgres, empty_postgres_url):
    # Given two workspaces with credit and one without limits, and four processes
    credit = 10 * HOLD
    callers = [make_principal(postgres, credit=credit) for _ in range(2)]
    callers.append(make_principal(postgres))
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=work, args=(empty_postgres_url, callers, seed))
        for seed in range(PROCESSES)
    ]
    # When they submit, fall back, answer and seal at the same time
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(90)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    # Then everything adds up, nothing is held for what ended, and nobody overspent
    while run(postgres, ledger.seal_many, NOW)[0]:
        pass
    verdict = postgres.read_now(ledger.verify)
    assert verdict.flaws == []
    assert verdict.jobs == count(postgres, Job) >= PROCESSES * ROUNDS
    dearest_overrun = 1_500 - HOLD
    for caller in callers[:2]:
        assert balance(postgres, caller.workspace_id) >= -PROCESSES * dearest_overrun
