from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from broker.billing import ledger
from tests.factories import NOW, balance, make_principal

NANOS = st.integers(0, 2**62)


def append(database, *entries):
    with database.transaction() as connection:
        ledger.append(connection, entries)


@pytest.fixture
def workspace_id(database):
    return make_principal(database, credit=1_000).workspace_id


def booked(workspace_id, job_id="job_1"):
    """A job's three possible entries, for a hold of 400 and a cost of 150."""
    job = {"id": job_id, "workspace_id": workspace_id, "api_key_id": None, "hold_nanos": 400}
    row = SimpleNamespace(**job)
    return {
        "hold": ledger.hold(
            job_id=job_id, workspace_id=workspace_id, api_key_id=None, nanos=400, now=NOW
        ),
        "settle": ledger.settle(row, cost_nanos=150, now=NOW),
        "release": ledger.release(row, now=NOW),
    }


def test_a_balance_is_grants_less_costs_less_open_holds(database, workspace_id):
    ours, theirs = booked(workspace_id), booked(workspace_id, "job_2")
    append(database, ours["hold"], theirs["hold"])
    assert balance(database, workspace_id) == 200
    append(database, ours["settle"], theirs["release"])
    assert balance(database, workspace_id) == 850


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["hold"], "hold"),
        (["hold", "settle"], "settle"),
        (["hold", "release"], "release"),
        (["hold", "settle"], "release"),
        (["hold", "release"], "settle"),
    ],
)
def test_a_job_is_never_booked_twice(database, workspace_id, before, after):
    # Given what a job was booked for already
    append(database, *[booked(workspace_id)[kind] for kind in before])
    balance_before = balance(database, workspace_id)
    # When it is booked again, by whatever mistake
    with pytest.raises(IntegrityError):
        append(database, booked(workspace_id)[after])
    # Then the database refuses, and the balance stands
    assert balance(database, workspace_id) == balance_before


def test_grants_may_repeat_and_unknown_kinds_may_not_be_booked(database, workspace_id):
    again = [ledger.grant(workspace_id=workspace_id, nanos=5, now=NOW) for _ in range(2)]
    append(database, *again)
    assert balance(database, workspace_id) == 1_010
    with pytest.raises(IntegrityError):
        append(database, again[0]._replace(id="led_x", kind="gift"))


def test_amounts_of_thousands_of_dollars_fit(database, workspace_id):
    millions = 5_000_000 * 10**9
    append(database, ledger.grant(workspace_id=workspace_id, nanos=millions, now=NOW))
    assert balance(database, workspace_id) == millions + 1_000


def test_balances_of_nobody_are_none(database):
    with database.transaction() as connection:
        assert ledger.totals(connection, []) == {}
    assert balance(database, "ws_none") == 0


def test_an_open_submission_does_not_hold_up_settling(postgres, empty_postgres_url, connect):
    # Given a submission that has locked its workspace's balance
    workspace_id = make_principal(postgres, credit=1_000).workspace_id
    other = connect(empty_postgres_url)
    with postgres.transaction() as connection:
        ledger.lock(connection, [workspace_id])
        # When a worker settles a job of that workspace meanwhile
        with other.transaction() as settling:
            settling.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            ledger.append(settling, [booked(workspace_id)["settle"]])
    # Then it need not wait
    assert balance(postgres, workspace_id) == 1_250


@given(held=NANOS, cost=NANOS)
def test_an_ended_job_has_cost_its_price_or_nothing(held, cost):
    job = {"id": "j", "workspace_id": "w", "api_key_id": "k", "hold_nanos": held}
    row = SimpleNamespace(**job)
    hold = ledger.hold(
        job_id="j", workspace_id="w", api_key_id="k", nanos=held, now=NOW
    ).amount_nanos
    settle = ledger.settle(row, cost_nanos=cost, now=NOW).amount_nanos
    release = ledger.release(row, now=NOW).amount_nanos
    assert (hold + settle, hold + release) == (-cost, 0)
