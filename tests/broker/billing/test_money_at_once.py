"""Money when several processes work at once: real ones, that crash, cancel, double messages.

Elsewhere fifty requests at once spent five times the balance (new-api#5690), and users put a gate
of row locks in front (litellm#26672).
"""

import asyncio
import dataclasses
import multiprocessing
import random

from broker.billing import budgets, ledger
from broker.billing.budgets import BudgetRequest
from broker.enums import BudgetScope
from broker.errors import WaybillError
from broker.jobs.states import TERMINAL
from broker.lifecycle import (
    Cancellation,
    Claim,
    Extension,
    cancel_many,
    claim_many,
    decide,
    expire,
    extend_many,
    needs_extension,
    record_many,
    rescue,
)
from broker.storage.database import Database
from broker.submission import submit_many
from broker.usage import Reset
from tests.broker import promises
from tests.factories import (
    HOLD,
    LEASE,
    NOW,
    balance,
    failed,
    finished,
    make_new_job,
    make_principal,
    write,
)

PROCESSES = 3
ROUNDS = 5
ODDS = 0.2
DEAREST = 1_500  # what an answer costs at most
LATE = NOW + 30_000  # when deadlines pass
BUDGET = 8 * HOLD
PLACES = [("alpha", "m/one"), ("beta", "m/two")]


def work(url, callers, seed):
    """Run one process: submit for everybody, run jobs, end late ones, chain the ledger."""
    dice = random.Random(seed)
    database = Database(url, sqlite_synchronous="off")
    for _ in range(ROUNDS):
        who = dice.sample(callers, len(callers))  # each in another order
        jobs = [make_new_job(caller, places=PLACES, more=300, deadline=LATE) for caller in who]
        for result, job in zip(_again(database, submit_many, *jobs), jobs, strict=True):
            if not isinstance(result, WaybillError):
                _run(database, job, dice)
        asyncio.run(database.write(expire, dice.choice([NOW, LATE + 1])))
        asyncio.run(database.write(ledger.chain_entries))
    database.close()


def _run(database, new, dice):
    """Bring a job to its end, or crash on the way there: its message may come twice."""
    if dice.random() < ODDS:
        _again(database, cancel_many, Cancellation(new.id, new.row["workspace_id"], NOW))
    job = _claimed(database, new.id)
    if dice.random() < ODDS:
        return  # a crash: its lease ends, or its deadline comes
    while job is not None and dice.random() < 2 * ODDS:
        ending = failed(job)
        decision = decide(job, ending.failure, NOW)
        if needs_extension(job, decision):
            [decision] = _again(
                database, extend_many, Extension(job, ending.failure, decision, NOW)
            )
        _again(database, record_many, failed(job, decision=decision))
        job = _claimed(database, new.id)
    if job is not None:
        end = finished(job, cost=dice.randrange(DEAREST))
        assert None in _again(database, record_many, end, end)  # one of them, at the least


def _claimed(database, job_id):
    claim = Claim(job_id, "w", NOW, LEASE)
    one, other = _again(database, claim_many, claim, claim)
    assert one is None or other is None
    return one or other


def _again(database, function, *items):
    """Run a storage function as the writer thread does: again where another writer collided."""

    async def write():
        return await asyncio.gather(
            *[database.write_grouped(function, item) for item in items], return_exceptions=True
        )

    results = asyncio.run(write())
    broken = [each for each in results if isinstance(each, Exception)]
    assert all(isinstance(each, WaybillError) for each in broken), broken
    return results


def budgeted(database):
    """A caller whose workspace may spend BUDGET in a day."""
    caller = make_principal(database)
    place = (caller.workspace_id, BudgetScope.WORKSPACE, caller.workspace_id, Reset.DAILY)
    with database.transaction() as connection:
        budgets.put_budget(connection, BudgetRequest(*place, BUDGET, soft=False, now=NOW))
    return dataclasses.replace(caller, is_budgeted=True)


def test_the_books_hold_after_processes_that_worked_at_once(database, url):
    # Given workspaces with credit, with a budget and without limits, and some processes
    callers = [make_principal(database, credit=10 * HOLD) for _ in range(2)]
    callers += [budgeted(database), make_principal(database)]
    several = multiprocessing.get_context("forkserver")  # what they need is imported once
    several.set_forkserver_preload([__name__])
    workers = [several.Process(target=work, args=(url, callers, seed)) for seed in range(PROCESSES)]
    # When they submit, fall back, answer, cancel, crash and seal at the same time
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(90)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    write(database, rescue, LATE + LEASE + 1)
    write(database, expire, LATE + 1)
    while write(database, ledger.chain_entries).entries:
        pass
    # Then everything adds up, and nothing is held for what ended
    verdict = database.read_now(ledger.verify)
    assert verdict.flaws == []
    picture = promises.take_picture(database)
    promises.check_books(picture)
    promises.check_answers(picture)
    assert {row.state for row in picture.jobs.values()} >= {"completed", "cancelled", "expired"}
    assert {row.state for row in picture.jobs.values()} <= {state.value for state in TERMINAL}
    totals = database.read_now(ledger.totals, [each.workspace_id for each in callers])
    assert [each.held for each in totals.values()] == [0] * len(callers)
    # And nobody overspent, but by what answers cost more than was held for them
    promises.check_limit(picture, callers[2].workspace_id, BUDGET)
    for caller in callers[:2]:
        assert balance(database, caller.workspace_id) >= -PROCESSES * (DEAREST - HOLD)
