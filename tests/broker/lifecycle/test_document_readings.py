"""Readings are found by those who may, are paid once, and go with the prompt of their job."""

import pytest

from broker.billing import ledger
from broker.enums import Store
from broker.lifecycle import NewReading, ReadingKey, find_reading, retention, store_reading
from tests.factories import (
    HOLD,
    NOW,
    balance,
    cancel,
    claim_one,
    entries,
    failed,
    finished,
    generations,
    make_principal,
    record,
    submit,
    submit_and_claim,
    write,
)

COST = 70


def read(database, job, *, key="k", texts=("one", "two"), cost=COST):
    name = ReadingKey(job.workspace_id, job.id, key)
    return write(database, store_reading, NewReading(name, job.attempt, texts, cost, NOW))


def found(database, job, *, key="k", workspace_id=None):
    name = ReadingKey(workspace_id or job.workspace_id, job.id, key)
    return write(database, find_reading, name)


def test_other_jobs_of_the_workspace_find_it_and_no_other_tenant(database):
    caller, stranger = make_principal(database), make_principal(database, name="other")
    job = submit_and_claim(database, caller)
    assert found(database, job) is None
    assert read(database, job)
    other = submit_and_claim(database, caller)
    assert found(database, other) == ["one", "two"]
    assert found(database, other, key="l") is None
    assert found(database, submit_and_claim(database, stranger)) is None


@pytest.mark.parametrize("store", [Store.RESULT_ONLY, Store.NONE])
def test_a_job_that_keeps_less_shares_nothing(database, store):
    caller = make_principal(database)
    job = submit_and_claim(database, caller, store=store.value)
    assert read(database, job)
    assert found(database, submit_and_claim(database, caller)) is None
    assert found(database, job) == ["one", "two"]  # for its next attempt
    record(database, finished(job))
    write(database, retention.delete_unkept, NOW, NOW)
    assert found(database, job) is None


def test_it_is_deleted_with_the_prompt(database):
    caller = make_principal(database)
    job = submit_and_claim(database, caller)
    read(database, job)
    record(database, finished(job))
    assert found(database, submit_and_claim(database, caller)) == ["one", "two"]
    write(database, retention.delete, job.id, caller.workspace_id, NOW)
    assert found(database, submit_and_claim(database, caller)) is None


def test_an_attempt_that_lost_its_job_charges_nothing(database):
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller)
    record(database, failed(job))
    assert not read(database, job)
    again = claim_one(database, job.id, now=NOW + 60_000)
    assert read(database, again)
    assert not read(database, again)  # once
    record(database, finished(again, cost=300))
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - 300 - COST}
    assert balance(database, caller.workspace_id) == HOLD - 300 - COST


def test_a_job_that_is_cancelled_between_attempts_pays_for_its_ocr(database):
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller)
    read(database, job)
    record(database, failed(job))
    cancel(database, job.id, caller.workspace_id)
    assert entries(database, job.id) == {"hold": -HOLD, "settle": HOLD - COST}
    [generation] = generations(database, job.id)
    assert generation.cost_nanos == COST
    assert database.read_now(ledger.verify).flaws == []


def test_a_free_reading_changes_no_books(database):
    caller = make_principal(database, credit=HOLD)
    job = submit_and_claim(database, caller)
    read(database, job, cost=0)
    record(database, failed(job))
    cancel(database, job.id, caller.workspace_id)
    assert entries(database, job.id) == {"hold": -HOLD, "release": HOLD}


def test_a_waiting_job_has_no_reading(database):
    caller = make_principal(database)
    job_id = submit(database, caller)
    reading = NewReading(ReadingKey(caller.workspace_id, job_id, "k"), 0, ["a"], 1, NOW)
    assert not write(database, store_reading, reading)
