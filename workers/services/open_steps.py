"""Advance open batches and evaluations: one step of each at a time, at its own pace."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from broker.background import end_tasks
from broker.storage.database import Database, SeenVersion
from workers.attempt.retry_until_stored import OUT_OF_SERVICE

RETRY_SECONDS = 1.0
"""The pause after a failure, and of what waits for money or for a rate limit."""

log = structlog.get_logger()


class OpenRow(Protocol):
    """A row of what is advanced."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=OpenRow)


class OpenSteps(Generic[Row]):
    """Runs the steps of open rows, each in a task of its own."""

    def __init__(
        self,
        kind: str,
        database: Database,
        list_open: Callable[[Connection], Sequence[Row]],
        carry_out: Callable[[Row], Awaitable[None]],
    ) -> None:
        self._kind = kind  # names the rows in the log
        self._postponed, self._failed = f"{kind}.postponed", f"{kind}.failed"
        self._database = database
        self._list_open = list_open
        self._carry_out = carry_out
        self._seen = SeenVersion()  # without an open row
        self._paused_until: dict[str, float] = {}
        self.running: dict[str, asyncio.Task[None]] = {}

    async def advance(self) -> None:
        """Begin a step of each open row that has none and is not paused."""
        if self._seen.is_current(self._database):
            return
        now, version = time.monotonic(), self._database.read_version()
        rows = await self._database.read(self._list_open)
        self._seen.version = None if rows else version
        for row in rows:
            if row.id not in self.running and self._paused_until.get(row.id, 0) <= now:
                self.running[row.id] = asyncio.create_task(self._run(row))
        for row_id in self._paused_until.keys() - {row.id for row in rows}:
            del self._paused_until[row_id]

    def pause(self, row: Row, seconds: float = RETRY_SECONDS) -> None:
        """Begin no step of a row for this time."""
        self._paused_until[row.id] = time.monotonic() + seconds

    async def close(self) -> None:
        """Cancel the steps that are running."""
        await end_tasks(list(self.running.values()))

    async def _run(self, row: Row) -> None:
        try:
            await self._carry_out(row)
        except OUT_OF_SERVICE as error:
            log.warning(self._postponed, error=str(error))
            self.pause(row)
        except Exception:
            log.exception(self._failed, **{self._kind: row.id})
            self.pause(row)
        finally:
            del self.running[row.id]
