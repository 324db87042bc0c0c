"""Groups of writes: which of those that wait are written in the next transaction."""

import asyncio
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from broker.storage.write_lock import WriteLock

Item = TypeVar("Item")
Result = TypeVar("Result")
WriteFunction = Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]]

GROUP_SIZE = 512
YIELDING_SIZE = 6  # low-priority items in a group, while another process waits for SQLite …
YIELDING_SECONDS = 0.015  # … and the wait for it before such a group


@dataclass(slots=True)
class Write:
    """One item on its way through the writer thread."""

    function: WriteFunction[Any, Any]
    item: Any
    is_low_priority: bool
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    outcome: Any = None


class Groups:
    """Group the writes that wait: urgent ones alone, then all, in turns.

    While another process waits for SQLite's lock, low-priority writes come in small groups after a
    pause. Otherwise the lines of a batch would always come before the writes for callers.
    """

    def __init__(
        self, waiting: "queue.SimpleQueue[Write | None]", turns: WriteLock | None = None
    ) -> None:
        self._waiting = waiting
        self._turns = turns
        self._urgent: deque[Write] = deque()
        self._low_priority: deque[Write] = deque()
        self._is_closed = False
        self._went_ahead = False  # the last group was without low-priority writes

    def take(self) -> list[Write] | None:
        """Return the next group, or None once the database is closed and all is written."""
        self._gather()
        if not self._urgent and not self._low_priority:
            return None
        yields = self._turns is not None and self._turns.are_wanted()
        if yields:
            self._await_urgent(YIELDING_SECONDS)
        self._went_ahead = bool(self._urgent and self._low_priority) and not self._went_ahead
        most = YIELDING_SIZE if yields else GROUP_SIZE
        group = [] if self._went_ahead else _taken(self._low_priority, most)
        return group + _taken(self._urgent, GROUP_SIZE - len(group))

    def _gather(self) -> None:
        """Read the new writes; wait for one if there is nothing else to do."""
        while not self._is_closed:
            must_wait = not self._urgent and not self._low_priority
            try:
                self._sort_in(self._waiting.get(block=must_wait))
            except queue.Empty:
                return

    def _await_urgent(self, seconds: float) -> None:
        """Wait up to `seconds` for an urgent write; return at once if there is one."""
        until = time.monotonic() + seconds
        while not self._urgent and not self._is_closed:
            try:
                self._sort_in(self._waiting.get(timeout=max(until - time.monotonic(), 0)))
            except queue.Empty:
                return

    def _sort_in(self, write: Write | None) -> None:
        if write is None:  # `close` puts it there, as the last
            self._is_closed = True
        elif write.is_low_priority:
            self._low_priority.append(write)
        else:
            self._urgent.append(write)


def _taken(waiting: deque[Write], most: int) -> list[Write]:
    return [waiting.popleft() for _ in range(min(most, len(waiting)))]
