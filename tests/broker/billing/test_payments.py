import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from broker.administration import carry_out
from broker.billing import ledger, payments
from broker.billing.ledger import LedgerTotals
from broker.billing.payments import Payment
from broker.errors import ConflictError, InvalidRequestError, NotFoundError
from broker.settings import Settings
from broker.storage.tables import LedgerEntry
from tests.factories import (
    NOW,
    balance,
    finished,
    make_principal,
    record,
    submit_and_claim,
)

USD = 10**9


@pytest.fixture
def workspace_id(database):
    return make_principal(database, credit=0).workspace_id


def pay(database, workspace_id, nanos=10 * USD, reference="inv-1", fee=0):
    with database.transaction() as connection:
        return payments.add(connection, Payment(workspace_id, nanos, reference, NOW, fee))


def test_a_payment_less_its_fee_is_credit(database, workspace_id):
    booked = pay(database, workspace_id, fee=550_000_000)
    assert (booked.is_new, booked.totals) == (True, LedgerTotals(credited=9_450_000_000))
    rows = database.read_now(lambda c: c.execute(select(LedgerEntry.__table__)).all())
    assert {(row.kind, row.amount_nanos) for row in rows} == {
        ("topup", 10 * USD),
        ("fee", -550_000_000),
    }


def test_a_payment_reported_twice_is_booked_once(database, workspace_id):
    first, again = pay(database, workspace_id), pay(database, workspace_id)
    assert (first.is_new, again.is_new) == (True, False)
    assert balance(database, workspace_id) == 10 * USD


async def test_a_payment_reported_at_once_by_two_processes_is_booked_once(
    url, database, connect, workspace_id
):
    sides = [database, connect(url)]
    payment = Payment(workspace_id, 10 * USD, "inv-1", NOW, 5)
    writes = [
        carry_out(side, lambda connection: payments.add(connection, payment)) for side in sides * 5
    ]
    booked = await asyncio.gather(*writes)
    assert sum(each.is_new for each in booked) == 1
    assert balance(database, workspace_id) == 10 * USD - 5


def test_a_reference_means_one_amount(database, workspace_id):
    pay(database, workspace_id)
    with pytest.raises(ConflictError):
        pay(database, workspace_id, nanos=11 * USD)
    assert balance(database, workspace_id) == 10 * USD


@pytest.mark.parametrize("nanos", [0, -5, 10**17])
def test_amounts_that_cannot_be_meant_are_refused(database, workspace_id, nanos):
    with pytest.raises(InvalidRequestError) as refused:
        pay(database, workspace_id, nanos=nanos)
    assert refused.value.param == "amount"


def test_nobody_pays_for_a_workspace_that_is_not_there(database):
    with pytest.raises(NotFoundError):
        pay(database, "ws_none")


def test_money_that_went_back_is_gone_once(database, workspace_id):
    pay(database, workspace_id)
    for _ in range(2):
        with database.transaction() as connection:
            payments.withdraw(connection, Payment(workspace_id, 4 * USD, "re-1", NOW))
    assert balance(database, workspace_id) == 6 * USD


def test_a_refunded_job_has_cost_nothing_and_is_refunded_once(database):
    # Given a job that cost 300
    caller = make_principal(database, credit=5_000)
    job = submit_and_claim(database, caller)
    record(database, finished(job, cost=300))
    # When it is refunded twice
    with database.transaction() as connection:
        given = [payments.refund(connection, job.id, NOW).nanos for _ in range(2)]
    # Then its cost came back once, and nothing else
    assert given == [300, 0]
    assert balance(database, caller.workspace_id) == 5_000
    totals = database.read_now(ledger.totals, [caller.workspace_id])[caller.workspace_id]
    assert totals == LedgerTotals(credited=5_000)
    assert database.read_now(ledger.verify).flaws == []


def test_what_was_not_charged_is_not_refunded(database):
    # A failed job's hold went back already: giving it back again would make money (new-api#4211)
    job = submit_and_claim(database, make_principal(database, credit=5_000))
    with database.transaction() as connection, pytest.raises(ConflictError):
        payments.refund(connection, job.id, NOW)


@given(
    nanos=st.integers(1, 10**16),
    percent=st.decimals(0, 100, places=2),
    least=st.decimals(0, 100, places=2),
)
def test_a_fee_is_its_share_and_never_more_than_the_payment(nanos, percent, least):
    settings = Settings.model_construct(
        topup_fee_percent=str(percent), topup_fee_minimum_usd=str(least)
    )
    fee = payments.fee_of(nanos, settings)
    exact = max(Decimal(nanos) * percent / 100, least * USD)
    assert 0 <= fee <= nanos
    assert fee == nanos or abs(fee - exact) <= Decimal("0.5")
