"""Read and write the database: writes on one thread, reads on several, plain transactions.

`await database.write(function, *arguments)` runs `function(connection, *arguments)` on the writer
thread and returns its result after the commit. What a function that raises has written is undone.

`await database.write_grouped(submit_many, item)` is for frequent writes. The function runs once
over the list of all items that wait: `f(connection, items) -> results`, one result per item in
order, an exception *as a result* to refuse one item.

All items that wait for the writer are written in one transaction. A group that fails is run again
item by item, so that one bad item fails alone. Functions are synchronous; they never commit and
never use the network.
"""

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from broker.errors import UnavailableError, WaybillError
from broker.storage import engine, frequent_statements
from broker.storage.data_version import DataVersion
from broker.storage.engine import READ_THREADS
from broker.storage.write_groups import Groups, Write, WriteFunction
from broker.storage.write_lock import WriteLock

Item = TypeVar("Item")
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

CONFLICT_TRIES = 5  # of a transaction that collided with another writer
KEPT_SECONDS = 1.0  # … without a transaction, after which the writer checks its connection

log = structlog.get_logger()


class Database:
    """An engine with a writer thread and a few reader threads."""

    def __init__(self, url: str, *, sqlite_synchronous: str = "full") -> None:
        self.engine = engine.create(url, sqlite_synchronous)
        path = self.engine.url.database if self.is_sqlite else None
        self._turns = WriteLock(path) if path else None
        self._version = DataVersion(path) if path else None
        self._reading = engine.for_reading(self.engine)
        self._waiting: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._kept: Connection | None = None  # the writer's
        self._kept_at = 0.0
        self._lock = threading.Lock()
        self._closed = False
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="reader")

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def read_version(self) -> int | None:
        """Return a number that stays the same as long as the data does; None on PostgreSQL.

        It takes microseconds and no other thread, so loops may ask whether to read again.
        """
        return None if self._version is None else self._version.read()

    async def write(
        self,
        function: Callable[[Connection, *Arguments], Result],
        *arguments: *Arguments,
        low_priority: bool = False,
    ) -> Result:
        """Run `function(connection, *arguments)` in a transaction; return after the commit.

        Raises what the function raised; nothing that it wrote is kept then. See `write_grouped`
        for `low_priority`.
        """

        def call(connection: Connection) -> Result:
            return function(connection, *arguments)

        result: Result = await self.write_grouped(_run_each, call, low_priority=low_priority)
        return result

    async def write_grouped(
        self, function: WriteFunction[Item, Result], item: Item, *, low_priority: bool = False
    ) -> Result:
        """Run `function` over this item and others that wait; return after the commit.

        A `low_priority` write comes after others: those of this process in every other group, and
        those of other processes that wait for SQLite. Raises the exception that the function
        returned as this item's result, or the error of the transaction.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._enqueue(Write(function, item, low_priority, loop, future))
        return await future

    async def read(
        self, function: Callable[[Connection, *Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Run `function(connection, *arguments)` on a reader thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self.read_now, function, *arguments)

    def read_now(
        self, function: Callable[[Connection, *Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Run `function(connection, *arguments)` in this thread, on one snapshot of the data."""
        with self._reading.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            return function(connection, *arguments)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end: for cold paths and start-up."""
        with self.engine.connect() as connection, self._begin(connection):
            yield connection

    def close(self) -> None:
        """Finish the writes that wait, then close the connections."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
        if self._writer is not None:
            self._writer.join()
        self._readers.shutdown()
        if self._version is not None:
            self._version.close()
        self.engine.dispose()
        if self._turns is not None:
            self._turns.close()

    def _enqueue(self, write: Write) -> None:
        with self._lock:
            if self._closed:
                raise UnavailableError("The database is closed: this process is shutting down.")
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="writer", daemon=True)
                self._writer.start()
            self._waiting.put(write)

    def _run(self) -> None:
        """Run the writer thread: take, write and answer groups until the database is closed."""
        groups = Groups(self._waiting, self._turns)
        while (group := groups.take()) is not None:
            self._write_group(group)
            _answer(group)
        self._give_back()

    def _write_group(self, group: list[Write]) -> None:
        """Write the group in one transaction; where that fails, each item in its own.

        If SQLite's lock was not free in time, all fail: each would wait as long again.
        """
        try:
            self._transact(group)
        except Exception as error:  # noqa: BLE001  # the callers get the error
            if len(group) == 1 or _is_locked(error):
                for write in group:
                    write.outcome = error
                return
            log.warning("database.group_failed", items=len(group), error=str(error))
            for write in group:
                self._write_group([write])

    def _transact(self, group: list[Write]) -> None:
        """Write the group in one transaction; try again after a conflict with another writer."""
        for attempt in itertools.count(1):
            try:
                with self._keep_connection() as connection, self._begin(connection):
                    for function, writes in _by_function(group).items():
                        results = function(connection, [write.item for write in writes])
                        for write, result in zip(writes, results, strict=True):
                            write.outcome = result
            except DBAPIError as error:
                if attempt >= CONFLICT_TRIES or not _is_conflict(error):
                    raise
            else:
                return

    @contextlib.contextmanager
    def _keep_connection(self) -> Iterator[Connection]:
        """Take the writer's connection: another one after an error or a pause."""
        if time.monotonic() - self._kept_at > KEPT_SECONDS:
            self._give_back()
        if self._kept is None:
            self._kept = self.engine.connect()
        try:
            yield self._kept
        except BaseException:
            self._give_back()
            raise
        self._kept_at = time.monotonic()

    def _give_back(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    @contextlib.contextmanager
    def _begin(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction; take SQLite's write lock at its start, not at the first write."""
        if self._turns is None:
            with connection.begin():
                yield
            return
        with self._turns.turn(), connection.begin():
            frequent_statements.execute(connection, "BEGIN IMMEDIATE")
            yield


@dataclass(slots=True)
class SeenVersion:
    """The version of the data that a loop has read, or None if it has to read again."""

    version: int | None = None

    def is_current(self, database: Database) -> bool:
        """Return whether the data is certainly what the loop has read."""
        return self.version is not None and self.version == database.read_version()


def _run_each(
    connection: Connection, calls: Sequence[Callable[[Connection], Any]]
) -> Sequence[Any | Exception]:
    """Run each call; undo and return the error of one that is refused."""
    return [_run(connection, call) for call in calls]


def _run(connection: Connection, call: Callable[[Connection], Any]) -> Any | Exception:
    """Run a call in a savepoint. Return its result, or the error with which it was refused."""
    try:
        with connection.begin_nested():
            return call(connection)
    except WaybillError as error:
        return error


def _by_function(group: list[Write]) -> dict[WriteFunction[Any, Any], list[Write]]:
    functions: dict[WriteFunction[Any, Any], list[Write]] = {}
    for write in group:
        functions.setdefault(write.function, []).append(write)
    return functions


def _is_conflict(error: DBAPIError) -> bool:
    """Return whether the error is a collision with another writer.

    PostgreSQL: a serialisation failure, a deadlock, or a row that another process inserted first
    (the next try sees it: that is how an idempotency key finds its job). SQLite has none.
    """
    return getattr(error.orig, "sqlstate", None) in {"40001", "40P01", "23505"}


def is_disk_full(error: DBAPIError) -> bool:
    """Return whether the database has no room to write (PostgreSQL: disk_full, 53100)."""
    full = "database or disk is full" in str(error.orig)
    return full or getattr(error.orig, "sqlstate", None) == "53100"


def _is_locked(error: Exception) -> bool:
    """Return whether another process kept SQLite's lock for SQLITE_BUSY_MS."""
    return isinstance(error, DBAPIError) and "database is locked" in str(error.orig)


def _answer(group: list[Write]) -> None:
    """Resolve the callers' futures, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in group:
        loops.setdefault(write.loop, []).append(write)
    for loop, writes in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, writes)


def _resolve(writes: list[Write]) -> None:
    for write in writes:
        if write.future.done():  # its caller was cancelled; the write stands
            continue
        if isinstance(write.outcome, Exception):
            write.future.set_exception(write.outcome)
        else:
            write.future.set_result(write.outcome)
