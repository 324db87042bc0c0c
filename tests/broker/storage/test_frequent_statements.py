import contextlib

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.enums import EntryKind
from broker.storage import frequent_statements
from broker.storage.frequent_statements import (
    FrequentInsert,
    FrequentQuery,
    FrequentUpdate,
    pipeline,
)
from broker.storage.tables import Attempt, JobPayload, LedgerEntry, table
from broker.storage.text_lists import among
from tests.factories import submit

ENTRIES, ATTEMPTS, PAYLOADS = table(LedgerEntry), table(Attempt), table(JobPayload)
NAMES = ("id", "workspace_id", "kind", "amount_nanos", "reference", "created_at")
INSERT = FrequentInsert(insert(ENTRIES), NAMES)
OF_IDS = FrequentQuery(select(ENTRIES).where(among(ENTRIES.c.id, "ids")).order_by(ENTRIES.c.id))
CHANGE = FrequentUpdate(
    update(ENTRIES)
    .where(ENTRIES.c.id == bindparam("of_entry"), ENTRIES.c.kind == EntryKind.GRANT.value)
    .values(reference=bindparam("said"), hash="h")
)
STORE = FrequentUpdate(
    update(PAYLOADS)
    .where(PAYLOADS.c.job_id == bindparam("of_job"))
    .values(response=bindparam("response"), events=bindparam("events"))
)
ODD = ["a'b", 'c"d', "{e,f}", "g\\h", "ü", ""]


def rows_of(workspace_id, ids, **values):
    common = {"workspace_id": workspace_id, "kind": EntryKind.GRANT, "created_at": 2**40}
    row = common | {"amount_nanos": -(2**50), "reference": None} | values
    return [{"id": id_} | row for id_ in ids]


def read(connection, ids):
    return OF_IDS.all(connection, {"ids": ids})


@pytest.mark.parametrize("size", [1, len(ODD)])
def test_rows_come_back_as_sqlalchemy_reads_them(database, caller, size):
    ids = ODD[:size]
    with database.transaction() as connection:
        INSERT.run(connection, rows_of(caller.workspace_id, ids))
        found = read(connection, ids)
        expected = connection.execute(
            select(ENTRIES).where(ENTRIES.c.id.in_(ids)).order_by(ENTRIES.c.id)
        ).all()
    assert [tuple(row) for row in found] == [tuple(row) for row in expected]
    assert [row._asdict() for row in found] == [row._asdict() for row in expected]
    # And an enumeration has its members, and a column that was left out its default
    assert found[0].kind is EntryKind.GRANT
    assert (found[0].attempt, found[0].held_nanos, found[0].job_id) == (0, 0, None)


def test_no_values_match_nothing(database):
    with database.transaction() as connection:
        assert read(connection, []) == []


class MissedError(Exception):
    pass


@pytest.mark.parametrize("waiting", [contextlib.nullcontext, pipeline])
@pytest.mark.parametrize(("missed", "changed"), [([], 2), (["none"], 2)])
def test_an_update_is_checked_by_the_rows_that_it_changed(
    database, caller, waiting, missed, changed
):
    ids = ["a", "b", "c"]
    changes = [{"of_entry": id_, "said": f"of {id_}"} for id_ in [*ids[:2], *missed]]

    def change():
        with database.transaction() as connection:
            INSERT.run(connection, rows_of(caller.workspace_id, ids))
            with waiting(connection):
                CHANGE.check(connection, changes, MissedError)
                CHANGE.check(connection, changes[:1], MissedError)
                CHANGE.check(connection, [], MissedError)
            return [(row.reference, row.hash) for row in read(connection, ids)]

    if missed:
        with pytest.raises(MissedError, match=str(changed)):
            change()
    else:
        assert change() == [("of a", "h"), ("of b", "h"), (None, None)]


@pytest.mark.parametrize("most", [1, 1_000_000])
def test_bytes_and_long_groups_arrive_whole(database, caller, monkeypatch, most):
    monkeypatch.setattr(frequent_statements, "DOCUMENT_BYTES", most)
    ids = sorted(submit(database, caller) for _ in range(3))
    answers = [bytes(range(256)), b"", None]
    with database.transaction() as connection:
        STORE.run(
            connection,
            [
                {"of_job": id_, "response": answer, "events": b"\\x00"}
                for id_, answer in zip(ids, answers, strict=True)
            ],
        )
        found = connection.execute(
            select(PAYLOADS.c.response, PAYLOADS.c.events).order_by(PAYLOADS.c.job_id)
        ).all()
    assert [row.response for row in found] == answers
    assert {row.events for row in found} == {b"\\x00"}


def test_a_row_with_other_columns_is_refused(database, caller):
    [row] = rows_of(caller.workspace_id, ["a"])
    with database.transaction() as connection:
        with pytest.raises(KeyError, match="exactly"):
            INSERT.run(connection, [row | {"hash": "h"}])
        with pytest.raises(KeyError):
            INSERT.run(connection, [row, {"id": "b"}])


def test_a_list_of_in_is_refused(database):
    query = FrequentQuery(select(ENTRIES).where(ENTRIES.c.id.in_(["a"])))
    with database.transaction() as connection, pytest.raises(ValueError, match="among"):
        query.all(connection, {})


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_an_error_is_sqlalchemys(database, caller, size, in_pipeline):
    rows = rows_of(caller.workspace_id, ["a", "b"][:size])
    waiting = pipeline if in_pipeline else contextlib.nullcontext

    def insert_twice():
        with database.transaction() as connection, waiting(connection):
            INSERT.run(connection, rows)
            INSERT.run(connection, rows)
            read(connection, ["a"])

    with pytest.raises(IntegrityError) as raised:
        insert_twice()
    # And it does not show what was written
    assert caller.workspace_id not in str(raised.value)
    # And the transaction is undone, and the next one works
    with database.transaction() as connection:
        assert read(connection, ["a", "b"]) == []
        INSERT.run(connection, rows)
        assert len(read(connection, ["a", "b"])) == size


def test_statements_of_a_pipeline_see_each_other(database, caller):
    with database.transaction() as connection, pipeline(connection):
        for id_ in ("a", "b"):
            INSERT.run(connection, rows_of(caller.workspace_id, [id_]))
        assert [row.id for row in read(connection, ["a", "b"])] == ["a", "b"]
    with database.transaction() as connection:
        assert len(read(connection, ["a", "b"])) == 2


def test_a_lost_connection_is_given_up(postgres):
    with postgres.transaction() as connection:
        [pid] = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        with postgres.transaction() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(Exception, match="connection") as raised:
            read(connection, ["a"])
        assert raised.value.connection_invalidated
        connection.rollback()
    with postgres.transaction() as connection:
        assert read(connection, ["a"]) == []
