import asyncio
import dataclasses
import fcntl
import itertools
import threading
import time

import pytest
from sqlalchemy import Column, MetaData, String, Table, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError

from broker.errors import ConflictError, UnavailableError
from broker.storage.database import Database, SeenVersion
from broker.storage.tables import Job, JobPayload, LedgerEntry
from broker.storage.write_groups import GROUP_SIZE, YIELDING_SIZE
from broker.storage.write_lock import WriteLock
from broker.submission import submit_many
from tests.factories import count, make_new_job, make_principal
from tests.installation import until


class Gate:
    """A write function that occupies the writer until it is opened."""

    def __init__(self):
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _connection, items):
        self.entered.set()
        assert self.opened.wait(10)
        return items


async def held_writer(database):
    """Occupy the writer, so that what is written next gathers into one group."""
    gate = Gate()
    task = asyncio.create_task(database.write_grouped(gate, 0))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, task


async def written_together(database, *pairs):
    """Write all (function, item) pairs as one group; return results and exceptions."""
    gate, holding = await held_writer(database)
    waiting = [asyncio.create_task(database.write_grouped(*pair)) for pair in pairs]
    await asyncio.sleep(0)  # lets every task hand its item in
    gate.opened.set()
    await holding
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_group_is_one_call_in_one_transaction(database):
    # Given a function that notes its items and the transaction it runs in
    calls = []

    def note(connection, items):
        calls.append((list(items), connection.get_transaction()))
        return [item * 10 for item in items]

    def note_too(connection, items):
        calls.append((list(items), connection.get_transaction()))
        return items

    # When four callers write while the writer is busy
    results = await written_together(database, (note, 1), (note, 2), (note_too, 9), (note, 3))
    # Then each function ran once, both in one transaction, and everybody got its own result
    assert [items for items, _ in calls] == [[1, 2, 3], [9]]
    assert calls[0][1] is calls[1][1]
    assert results == [10, 20, 9, 30]


async def test_one_bad_item_fails_alone(database, caller):
    # Given three jobs, of which one breaks a constraint
    good, bad, fine = (make_new_job(caller) for _ in range(3))
    broken = dataclasses.replace(bad, row=bad.row | {"state": None})
    # When they are written as one group
    results = await written_together(
        database, (submit_many, good), (submit_many, broken), (submit_many, fine)
    )
    # Then its neighbours are committed, each once
    assert [type(result).__name__ for result in results] == [
        "Submitted",
        "IntegrityError",
        "Submitted",
    ]
    assert count(database, Job) == count(database, JobPayload) == count(database, LedgerEntry) == 2


async def test_an_exception_as_a_result_goes_to_its_caller_alone(database):
    def refuse_two(_connection, items):
        return [ValueError("two") if item == 2 else item for item in items]

    results = await written_together(database, *[(refuse_two, item) for item in (1, 2, 3)])
    assert [results[0], str(results[1]), results[2]] == [1, "two", 3]


async def test_a_function_that_loses_results_answers_nobody_wrongly(database):
    results = await written_together(
        database, (lambda _c, _items: [], 1), (lambda _c, items: items, 2)
    )
    assert isinstance(results[0], ValueError)
    assert results[1] == 2


async def test_failed_group_leaves_no_trace_of_its_first_function(database, caller):
    # Given a group whose first function writes and whose second breaks
    def broken(_connection, _items):
        raise RuntimeError("broken")

    # When it is written
    job = make_new_job(caller)
    submitted, error = await written_together(database, (submit_many, job), (broken, 1))
    # Then the job is there once, and only the second caller hears of the failure
    assert submitted.job_id == job.id
    assert isinstance(error, RuntimeError)
    assert count(database) == 1


def test_callers_on_several_event_loops_are_all_answered(database):
    # Given four threads with an event loop each
    def double(_connection, items):
        return [item * 2 for item in items]

    answers = {}

    async def many(base):
        return await asyncio.gather(*[database.write_grouped(double, base + n) for n in range(200)])

    threads = [
        threading.Thread(target=lambda base=base: answers.update({base: asyncio.run(many(base))}))
        for base in (0, 1000, 2000, 3000)
    ]
    # When all write at once
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # Then each gets the answers to its own items
    assert answers == {base: [(base + n) * 2 for n in range(200)] for base in (0, 1000, 2000, 3000)}


async def test_write_of_a_caller_who_left_stands(database, caller):
    # Given a submission that waits for the writer
    gate, holding = await held_writer(database)
    leaving = asyncio.create_task(database.write_grouped(submit_many, make_new_job(caller)))
    await asyncio.sleep(0)
    # When its caller goes away before the commit
    leaving.cancel()
    gate.opened.set()
    await holding
    # Then the job is stored, and the next caller is served
    assert await database.write_grouped(lambda _c, items: items, 7) == 7
    assert count(database) == 1


def test_a_closed_event_loop_does_not_stop_the_writer(database):
    # Given a caller whose event loop ends while its write is under way
    gate = Gate()
    loop = asyncio.new_event_loop()

    async def hand_in():
        task = asyncio.ensure_future(database.write_grouped(gate, 1))
        await asyncio.sleep(0)
        return task

    abandoned = loop.run_until_complete(hand_in())
    assert gate.entered.wait(10)
    abandoned.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    # When the write is done
    gate.opened.set()
    # Then others are still served
    assert asyncio.run(database.write_grouped(lambda _c, items: items, 2)) == 2


class _Dying(asyncio.SelectorEventLoop):
    """An event loop that closes between the writer's look and its call."""

    def is_closed(self):
        return super().is_closed() and threading.current_thread().name != "writer"


def test_a_loop_that_closes_at_the_last_moment_does_not_stop_the_writer(database):
    gate = Gate()
    loop = _Dying()

    async def hand_in():
        task = asyncio.ensure_future(database.write_grouped(gate, 1))
        await asyncio.sleep(0)
        return task

    abandoned = loop.run_until_complete(hand_in())
    assert gate.entered.wait(10)
    abandoned.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    gate.opened.set()

    async def next_one():
        async with asyncio.timeout(10):
            return await database.write_grouped(lambda _c, items: items, 2)

    assert asyncio.run(next_one()) == 2


async def test_urgent_writes_go_first_and_low_priority_writes_get_their_turn(database):
    # Given a busy writer, before which more urgent items gather than go into one group
    groups = []

    def note(_connection, items):
        groups.append(set(items))
        return items

    gate, holding = await held_writer(database)
    writes = [asyncio.create_task(database.write_grouped(note, "low", low_priority=True))]
    writes += [
        asyncio.create_task(database.write_grouped(note, f"urgent {n}"))
        for n in range(2 * GROUP_SIZE)
    ]
    await asyncio.sleep(0)
    # When it is free again
    gate.opened.set()
    await asyncio.gather(holding, *writes)
    # Then urgent ones are written first, and the low-priority one in the next group
    assert "low" not in groups[0]
    assert "low" in groups[1]
    assert [len(group) for group in groups] == [GROUP_SIZE, GROUP_SIZE, 1]


async def test_a_process_that_waits_to_write_goes_before_one_that_just_has(tmp_path):
    # Given a writer that takes its next turn as soon as it has ended one
    path = str(tmp_path / "waybill.db")
    order, begun, over = [], threading.Event(), threading.Event()
    others, ours = WriteLock(path), WriteLock(path)

    def greedy():
        while not over.is_set():
            with others.turn():
                order.append("greedy")
                begun.set()
                time.sleep(0.002)

    thread = threading.Thread(target=greedy)
    thread.start()
    # When another wants one, again and again
    assert begun.wait(10)
    waits = []
    for _ in range(10):
        before = len(order)
        with ours.turn():
            waits.append(len(order) - before)
    over.set()
    thread.join()
    # Then it sees no more than the turn that was under way, and one that was before it
    assert sorted(waits)[5] <= 2, waits  # a busy machine may stop us on our way to the door
    assert others.are_wanted()


@pytest.mark.parametrize("stopped_at", ["door", "turn"])
async def test_a_process_that_is_stopped_in_its_turn_keeps_nobody_from_writing(
    tmp_path, stopped_at
):
    # Given a process that is stopped where it holds no lock of SQLite's
    database = Database(f"sqlite:///{tmp_path / 'waybill.db'}")
    with (tmp_path / f"waybill.db-{stopped_at}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Then others write without their turn
        async with asyncio.timeout(10):
            assert await database.write_grouped(lambda _c, items: items, 1) == 1
    database.close()


async def test_a_lock_that_is_never_given_up_is_waited_for_once(tmp_path, monkeypatch):
    # Given a process that is stopped in the middle of a transaction
    monkeypatch.setattr("broker.storage.engine.SQLITE_BUSY_MS", 200)
    stopped, database = (Database(f"sqlite:///{tmp_path / 'waybill.db'}") for _ in range(2))
    gate, holding = await held_writer(stopped)
    runs = []
    # When a group is to be written
    with monkeypatch.context() as patch:
        patch.setattr("broker.storage.write_lock.TURN_SECONDS", 0.1)
        writes = [
            database.write_grouped(lambda _c, items: runs.append(items), n) for n in range(20)
        ]
        began = time.monotonic()
        errors = await asyncio.gather(*writes, return_exceptions=True)
    # Then all are told soon, and nothing of it was written
    assert {type(error) for error in errors} == {OperationalError}
    assert time.monotonic() - began < 20 * 0.2
    assert runs == []
    # And once it goes on, so do the others
    gate.opened.set()
    await holding
    assert await database.write_grouped(lambda _c, items: items, 1) == 1
    for each in (stopped, database):
        each.close()


async def test_low_priority_writes_come_in_small_groups_while_another_process_waits(tmp_path):
    # Given a writer that another process had to wait for
    database = Database(f"sqlite:///{tmp_path / 'waybill.db'}")
    groups = []

    def note(_connection, items):
        groups.append(list(items))
        return items

    gate, holding = await held_writer(database)
    other = WriteLock(str(tmp_path / "waybill.db"))
    waiting = threading.Thread(target=lambda: other.turn().__enter__())
    waiting.start()
    await asyncio.to_thread(until, lambda: _stands_at_the_door(tmp_path), 10, "nobody comes")
    # When more low-priority writes wait than go into a small group, and an urgent one
    writes = [
        asyncio.create_task(database.write_grouped(note, n, low_priority=True))
        for n in range(YIELDING_SIZE + 3)
    ]
    writes.append(asyncio.create_task(database.write_grouped(note, "urgent")))
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(holding, *writes)
    # Then the urgent one goes first, and the others after it, a few at a time
    assert groups[0] == ["urgent"]
    assert max(map(len, groups)) <= YIELDING_SIZE
    assert list(itertools.chain.from_iterable(groups)) == ["urgent", *range(YIELDING_SIZE + 3)]
    database.close()


def _stands_at_the_door(directory):
    with (directory / "waybill.db-door").open("w") as door:
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_close_finishes_what_waits(url, connect, database, caller):
    # Given submissions that wait behind a busy writer
    closing = connect(url)
    gate, holding = await held_writer(closing)
    jobs = [make_new_job(caller) for _ in range(20)]
    waiting = [asyncio.create_task(closing.write_grouped(submit_many, job)) for job in jobs]
    await asyncio.sleep(0)
    # When the database is closed meanwhile
    close = asyncio.create_task(asyncio.to_thread(closing.close))
    gate.opened.set()
    await close
    await holding
    # Then all were written and answered
    assert [s.job_id for s in await asyncio.gather(*waiting)] == [job.id for job in jobs]
    assert count(database) == 20


async def test_write_after_close_is_refused_instead_of_waiting_for_ever(url):
    closed = Database(url)
    closed.close()
    with pytest.raises(UnavailableError, match="shutting down"):
        async with asyncio.timeout(5):
            await closed.write_grouped(lambda _c, items: items, 1)


async def test_deadlock_is_tried_again(postgres, empty_postgres_url, connect):
    # Given two databases that lock the same two rows in opposite order
    other = connect(empty_postgres_url)
    first, second = make_principal(postgres).workspace_id, make_principal(postgres).workspace_id
    both_hold_one = threading.Barrier(2)
    runs = []

    def lock(connection, items):
        [(one, two)] = items
        runs.append(one)
        _touch(connection, one)
        if len(runs) <= 2:
            both_hold_one.wait(10)
        _touch(connection, two)
        return items

    # When both write at once
    async with asyncio.timeout(20):
        results = await asyncio.gather(
            postgres.write_grouped(lock, (first, second)),
            other.write_grouped(lock, (second, first)),
        )
    # Then the victim's transaction ran again and both were answered
    assert results == [(first, second), (second, first)]
    assert len(runs) >= 3  # it may lose again


def _touch(connection, workspace_id):
    connection.execute(
        text("UPDATE workspaces SET name = name || '!' WHERE id = :id"), {"id": workspace_id}
    )


async def test_two_writers_share_a_database_without_losing_anything(url, database, connect, caller):
    # Given two database objects (as two processes have them)
    other = connect(url)
    # When both submit concurrently
    sides = [database, other] * 100
    writes = [side.write_grouped(submit_many, make_new_job(caller)) for side in sides]
    submitted = await asyncio.gather(*writes)
    # Then every accepted job is there, with its hold
    assert len({s.job_id for s in submitted}) == 200
    assert count(database, Job) == count(database, LedgerEntry) == 200


async def test_a_read_sees_one_moment(url, database, connect, caller):
    # Given a reader that looks twice
    other = connect(url)
    looked, written = threading.Event(), threading.Event()

    def look_twice(connection):
        query = text("SELECT count(*) FROM jobs")
        first = connection.execute(query).scalar_one()
        looked.set()
        assert written.wait(10)
        return first, connection.execute(query).scalar_one()

    reading = asyncio.create_task(database.read(look_twice))
    await asyncio.to_thread(looked.wait, 10)
    # When somebody writes in between
    await other.write_grouped(submit_many, make_new_job(caller))
    written.set()
    # Then the reader sees nothing of it: a job's row and its attempts always fit together
    assert await reading == (0, 0)


def test_a_hint_of_the_index_to_use_reaches_sqlite(sqlite_url, connect):
    database = connect(sqlite_url)
    hinted = select(Job.id).with_hint(Job.__table__, "INDEXED BY ix_none", "sqlite")
    with database.transaction() as connection, pytest.raises(OperationalError, match="ix_none"):
        connection.execute(hinted)


def test_sqlalchemy_does_not_write_the_hint_itself():
    hinted = select(Job.id).with_hint(Job.__table__, "INDEXED BY ix_none", "sqlite")
    assert "INDEXED BY" not in str(hinted.compile(dialect=sqlite.dialect()))


@pytest.fixture
def names(database):
    """A table of names in the database, which other tests share."""
    table = Table("names", MetaData(), Column("name", String))
    table.create(database.engine)
    yield table
    table.drop(database.engine)


async def test_write_undoes_what_a_refused_function_wrote(database, names):
    def add(connection, name):
        connection.execute(names.insert().values(name=name))
        if name == "refused":
            raise ConflictError("No.")
        return name

    results = await asyncio.gather(
        *[database.write(add, name) for name in ("first", "refused", "second")],
        return_exceptions=True,
    )
    assert results[::2] == ["first", "second"]
    assert isinstance(results[1], ConflictError)
    kept = database.read_now(lambda c: c.execute(select(names.c.name)).scalars().all())
    assert sorted(kept) == ["first", "second"]


async def test_the_version_changes_with_the_data_and_with_nothing_else(database, caller):
    before = database.read_version()
    assert count(database) == 0
    assert database.read_version() == before
    await database.write_grouped(submit_many, make_new_job(caller))
    after = database.read_version()
    assert (after != before) is database.is_sqlite
    # another process sees the change too, and its own
    other = Database(database.engine.url.render_as_string(hide_password=False))
    seen = SeenVersion(other.read_version())
    assert seen.is_current(other) is database.is_sqlite
    await database.write_grouped(submit_many, make_new_job(caller))
    assert not seen.is_current(other)
    assert not SeenVersion().is_current(other)
    other.close()


def end_writers_connection(database):
    """End the server's side of the connection that the writer keeps."""
    pid = database._kept.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    database._kept.rollback()
    with database.transaction() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")


async def test_the_writer_keeps_its_connection(database):
    first = await database.write(lambda connection: connection.connection.driver_connection)
    second = await database.write(lambda connection: connection.connection.driver_connection)
    assert first is second


async def test_after_a_pause_the_writer_checks_its_connection(postgres, monkeypatch):
    assert await postgres.write(lambda _: 1) == 1
    end_writers_connection(postgres)
    monkeypatch.setattr("broker.storage.database.KEPT_SECONDS", -1)
    assert await postgres.write(lambda c: c.exec_driver_sql("SELECT 2").scalar_one()) == 2


async def test_after_an_error_the_writer_takes_another_connection(postgres, monkeypatch):
    monkeypatch.setattr("broker.storage.database.KEPT_SECONDS", 60)
    assert await postgres.write(lambda _: 1) == 1
    end_writers_connection(postgres)
    with pytest.raises(OperationalError):
        await postgres.write(lambda c: c.exec_driver_sql("SELECT 2").scalar_one())
    assert await postgres.write(lambda c: c.exec_driver_sql("SELECT 2").scalar_one()) == 2
