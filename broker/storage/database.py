"""Read and write the database: writes on one thread, reads on several, plain transactions.

`await database.write(function, *arguments)` runs `function(connection, *arguments)` on the writer
thread and returns its result after the commit. What a function that raises has written is undone.

`await database.write_grouped(submit_many, item)` is for writes that come in numbers. The function
runs once over the list of all items that wait: `f(connection, items) -> results`, one result per
item in order, an exception *as a result* to refuse one item.

Whatever waits for the writer is written together, in one transaction. A group that fails is run
again item by item, so that one bad item fails alone. Functions are synchronous; they never commit
and never use the network.
"""

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from broker.errors import UnavailableError, WaybillError
from broker.storage import engine
from broker.storage.data_version import DataVersion
from broker.storage.engine import READ_THREADS
from broker.storage.write_lock import WriteLock

Item = TypeVar("Item")
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
WriteFunction = Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]]

GROUP_SIZE = 512
COURTEOUS_SIZE = 6  # patient items at a time, while another process waits for its turn (SQLite) …
COURTEOUS_SECONDS = 0.015  # … and how long it is let go first
CONFLICT_TRIES = 5  # what collided with another writer is tried again this often

log = structlog.get_logger()


@dataclass(slots=True)
class _Write:
    """One item on its way through the writer thread."""

    function: WriteFunction[Any, Any]
    item: Any
    is_patient: bool
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    outcome: Any = None


class Database:
    """An engine with a writer thread and a few reader threads."""

    def __init__(self, url: str, *, sqlite_synchronous: str = "full") -> None:
        self.engine = engine.create(url, sqlite_synchronous)
        path = self.engine.url.database if self.is_sqlite else None
        self._turns = WriteLock(path) if path else None
        self._version = DataVersion(path) if path else None
        self._reading = engine.for_reading(self.engine)
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
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
        patient: bool = False,
    ) -> Result:
        """Run `function(connection, *arguments)` in a transaction; return after the commit.

        Raises what the function raised; nothing that it wrote is kept then. `patient`: see
        `write_grouped`.
        """

        def call(connection: Connection) -> Result:
            return function(connection, *arguments)

        result: Result = await self.write_grouped(_run_each, call, patient=patient)
        return result

    async def write_grouped(
        self, function: WriteFunction[Item, Result], item: Item, *, patient: bool = False
    ) -> Result:
        """Run `function` over this item and whoever else waits; return after the commit.

        What is `patient` lets the others go before it: those of this process in every other group,
        and other processes that wait for SQLite. Raises what the function gave as this item's
        result, or what broke the transaction.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._hand_in(_Write(function, item, patient, loop, future))
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
        """Finish what waits, then give the connections back."""
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

    def _hand_in(self, write: _Write) -> None:
        with self._lock:
            if self._closed:
                raise UnavailableError("The database is closed: this process is shutting down.")
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="writer", daemon=True)
                self._writer.start()
            self._waiting.put(write)

    def _run(self) -> None:
        """Run the writer thread: take what waits, write it, answer, until closed."""
        groups = _Groups(self._waiting, self._turns)
        while (group := groups.take()) is not None:
            self._write_group(group)
            _answer(group)

    def _write_group(self, group: list[_Write]) -> None:
        """Write the group in one transaction; where that fails, each item in its own.

        Where SQLite's lock was waited for in vain, the others would only wait as long again.
        """
        try:
            self._transact(group)
        except Exception as error:  # noqa: BLE001  # whatever broke it belongs to the callers
            if len(group) == 1 or _is_locked(error):
                for write in group:
                    write.outcome = error
                return
            log.warning("database.group_failed", items=len(group), error=str(error))
            for write in group:
                self._write_group([write])

    def _transact(self, group: list[_Write]) -> None:
        """One transaction for the group, tried again where the database says it was a conflict."""
        for attempt in itertools.count(1):
            try:
                with self.transaction() as connection:
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
    def _begin(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction; take SQLite's write lock at its start, not at the first write."""
        if self._turns is None:
            with connection.begin():
                yield
            return
        with self._turns.turn(), connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield


@dataclass(slots=True)
class SeenVersion:
    """The version of the data that a loop has read, or None if it has to read again."""

    version: int | None = None

    def is_current(self, database: Database) -> bool:
        """Return whether the data is certainly what the loop has read."""
        return self.version is not None and self.version == database.read_version()


class _Groups:
    """Group the writes that wait: urgent ones alone, then all, in turns.

    While another process waits for SQLite's lock, patient writes come in small groups after a
    pause: other processes work for callers, and the lines of a batch would always come first.
    """

    def __init__(
        self, waiting: "queue.SimpleQueue[_Write | None]", turns: WriteLock | None = None
    ) -> None:
        self._waiting = waiting
        self._turns = turns
        self._urgent: deque[_Write] = deque()
        self._patient: deque[_Write] = deque()
        self._is_closed = False
        self._went_ahead = False  # the last group left patient ones behind

    def take(self) -> list[_Write] | None:
        """Return the next group, or None once everything is written that was ever handed in."""
        self._gather()
        if not self._urgent and not self._patient:
            return None
        courteous = self._turns is not None and self._turns.are_wanted()
        if courteous:
            self._await_urgent(COURTEOUS_SECONDS)
        self._went_ahead = bool(self._urgent and self._patient) and not self._went_ahead
        most = COURTEOUS_SIZE if courteous else GROUP_SIZE
        group = [] if self._went_ahead else _taken(self._patient, most)
        return group + _taken(self._urgent, GROUP_SIZE - len(group))

    def _gather(self) -> None:
        """Read what was handed in; wait for it if there is nothing else to do."""
        while not self._is_closed:
            must_wait = not self._urgent and not self._patient
            try:
                self._sort_in(self._waiting.get(block=must_wait))
            except queue.Empty:
                return

    def _await_urgent(self, seconds: float) -> None:
        """Wait a moment for what is not patient; return at once where there is some."""
        until = time.monotonic() + seconds
        while not self._urgent and not self._is_closed:
            try:
                self._sort_in(self._waiting.get(timeout=max(until - time.monotonic(), 0)))
            except queue.Empty:
                return

    def _sort_in(self, write: _Write | None) -> None:
        if write is None:  # the last thing ever put there
            self._is_closed = True
        elif write.is_patient:
            self._patient.append(write)
        else:
            self._urgent.append(write)


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


def _taken(waiting: deque[_Write], most: int) -> list[_Write]:
    return [waiting.popleft() for _ in range(min(most, len(waiting)))]


def _by_function(group: list[_Write]) -> dict[WriteFunction[Any, Any], list[_Write]]:
    functions: dict[WriteFunction[Any, Any], list[_Write]] = {}
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


def _answer(group: list[_Write]) -> None:
    """Resolve the callers' futures, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
    for write in group:
        loops.setdefault(write.loop, []).append(write)
    for loop, writes in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, writes)


def _resolve(writes: list[_Write]) -> None:
    for write in writes:
        if write.future.done():  # its caller was cancelled; the write stands
            continue
        if isinstance(write.outcome, Exception):
            write.future.set_exception(write.outcome)
        else:
            write.future.set_result(write.outcome)
