"""Entries are chained within seconds, and whoever changes one is found."""

import pytest
from sqlalchemy import delete, insert, select, update

from broker.billing import ledger
from broker.billing.ledger import LedgerTotals
from broker.storage.tables import Generation, LedgerAccount, LedgerEntry, UsageRollup
from tests.factories import (
    HOLD,
    NOW,
    balance,
    claim_one,
    finished,
    make_principal,
    record,
    submit,
    submit_and_claim,
    write,
)

ENTRIES = LedgerEntry.__table__


def seal(database):
    return write(database, ledger.chain_entries).entries


def flaws(database):
    return database.read_now(ledger.verify).flaws


@pytest.fixture
def busy(database):
    """A workspace with credit, one answered job and one open one, chained in two steps."""
    caller = make_principal(database, credit=10 * HOLD)
    job = submit_and_claim(database, caller)
    assert seal(database) == 2
    record(database, finished(job, cost=300))
    submit(database, caller)
    assert seal(database) == 2
    return caller


def change(database, statement):
    with database.transaction() as connection:
        connection.execute(statement)


def test_sealing_does_not_change_what_is_left(database):
    # Given entries that are not chained
    caller = make_principal(database, credit=10 * HOLD)
    job_id = submit(database, caller)
    before = balance(database, caller.workspace_id)
    # When they are, and others follow
    seal(database)
    assert balance(database, caller.workspace_id) == before == 9 * HOLD
    record(database, finished(claim_one(database, job_id), cost=300))
    # Then chained and unchained ones add up
    totals = database.read_now(ledger.totals, [caller.workspace_id])
    assert totals == {caller.workspace_id: LedgerTotals(credited=10 * HOLD, spent=300, held=0)}
    keys = database.read_now(ledger.key_totals, [caller.api_key_id])
    assert keys == {caller.api_key_id: LedgerTotals(spent=300)}


def test_books_that_nobody_touched_hold(database, busy):
    verdict = database.read_now(ledger.verify)
    assert (verdict.entries, verdict.unchained, verdict.jobs, verdict.flaws) == (4, 0, 2, [])
    assert verdict.heads[busy.workspace_id][0] == 4


def test_sealing_twice_at_once_makes_one_chain(url, database, connect):
    # Given many entries, and two processes that seal
    caller = make_principal(database, credit=100 * HOLD)
    for _ in range(20):
        submit(database, caller)
    other = connect(url)
    seal(database), seal(other), seal(database)
    assert flaws(database) == []


@pytest.mark.parametrize(
    ("values", "where"),
    [({"amount_nanos": 11 * HOLD}, 1), ({"created_at": 1}, 2), ({"api_key_id": "key_x"}, 3)],
)
def test_a_changed_entry_is_named(database, busy, values, where):
    # When somebody changes an entry in the database
    this = (ENTRIES.c.workspace_id == busy.workspace_id, ENTRIES.c.sequence == where)
    id_ = database.read_now(lambda c: c.execute(select(ENTRIES.c.id).where(*this)).scalar_one())
    change(database, update(ENTRIES).where(*this).values(values))
    # Then the first flaw is that entry
    assert flaws(database)[0].where == id_
    assert f"entry {where} " in flaws(database)[0].what


@pytest.mark.parametrize("where", [1, 4])
def test_a_removed_entry_is_missed(database, busy, where):
    change(database, delete(ENTRIES).where(ENTRIES.c.sequence == where))
    assert flaws(database) != []


def test_a_slipped_in_entry_does_not_fit(database, busy):
    gift = ledger.grant(workspace_id=busy.workspace_id, nanos=10**9, now=NOW)
    change(database, insert(ENTRIES).values(**gift._asdict(), sequence=5, hash="0" * 64))
    assert flaws(database)[0].where == gift.id


def test_totals_that_were_touched_are_named(database, busy):
    account = LedgerAccount.__table__
    change(database, update(account).values(credited_nanos=account.c.credited_nanos + 1))
    assert busy.workspace_id in {flaw.where for flaw in flaws(database)}


def test_a_charge_that_is_not_the_answers_is_named(database, busy):
    change(database, update(Generation.__table__).values(cost_nanos=299))
    [flaw] = flaws(database)
    assert flaw.where.startswith("job_")
    assert "300" in flaw.what


def test_usage_that_is_not_what_was_charged_is_named(database, busy):
    rollups = UsageRollup.__table__
    change(database, update(rollups).where(rollups.c.period == "day").values(cost_nanos=1))
    [flaw] = flaws(database)
    assert (flaw.where, "days" in flaw.what) == (busy.workspace_id, True)


def test_only_one_workspace_is_looked_at_where_one_is_named(database, busy):
    other = make_principal(database, credit=5)
    seal(database)
    verdict = database.read_now(ledger.verify, other.workspace_id)
    assert (verdict.entries, verdict.jobs, verdict.flaws) == (1, 0, [])


def test_who_finds_another_sealing_does_nothing(postgres, empty_postgres_url, connect):
    # Given a process that is about to commit what it chained
    caller = make_principal(postgres, credit=10 * HOLD)
    submit(postgres, caller)
    other = connect(empty_postgres_url)
    with postgres.transaction() as connection:
        assert ledger.chain_entries(connection).entries == 2
        # When another looks meanwhile, then it leaves the entries alone
        assert seal(other) == 0
    assert seal(other) == 0
    assert flaws(postgres) == []
