"""The row of a native batch, as the leaseholder of its next step reads and writes it."""

from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

import structlog
from sqlalchemy import Connection

from broker.clock import now_ms
from broker.native_batches import RELEASED, NativeBatchRow, NativeBatchState, save_batch
from broker.settings import Settings
from broker.storage.database import Database

MAX_POLL_MS = 300_000  # between two polls
POLL_GROWTH = 1.5  # each pause between polls is longer than the one before by this factor

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

log = structlog.get_logger()


class LostLeaseError(Exception):
    """Another process has the batch now."""


class BatchRecord:
    """The row of a batch. Each write raises LostLeaseError if another process has the lease."""

    def __init__(self, settings: Settings, database: Database, row: NativeBatchRow) -> None:
        self._poll_ms = int(settings.native_batch_poll_seconds * 1000)
        self._database = database
        self._row = row

    async def read(
        self, function: Callable[[Connection, str, *Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Return what `function(connection, batch_id, *arguments)` reads."""
        return await self._database.read(function, self._row.id, *arguments)

    async def mark_running(self, upstream_id: str, *, guessed: bool = False) -> None:
        """Write that the provider runs the batch, and give the lease back until the first poll."""
        await self.save(
            release=True,
            state=NativeBatchState.RUNNING.value,
            upstream_id=upstream_id,
            guessed=guessed,
            polls=0,
            next_poll_at=now_ms() + self._poll_ms,
            error=None,
        )

    async def postpone(self, wait_ms: int = 0, **columns: Any) -> None:
        """Give the lease back until the next step, in `wait_ms` or more.

        The pauses grow, but the last step is due at `give_up_at`.
        """
        row, now = self._row, now_ms()
        grown = self._poll_ms * POLL_GROWTH ** min(row.polls, 30)
        at = now + int(max(min(grown, MAX_POLL_MS), wait_ms))
        if now < row.give_up_at < at:
            at = row.give_up_at
        await self.save(release=True, next_poll_at=at, polls=row.polls + 1, **columns)

    async def end(self, **columns: Any) -> None:
        """Write that the batch has ended."""
        await self.save(
            release=True, state=NativeBatchState.ENDED.value, ended_at=now_ms(), **columns
        )
        log.info("native_batch.ended", batch=self._row.id, provider=self._row.provider)

    async def save(self, *, release: bool = False, **columns: Any) -> None:
        """Set columns of the row; with `release`, give the lease back."""
        if release:
            columns |= RELEASED
        row = self._row
        if not await self._database.write(save_batch, row.id, row.lease_owner, columns):
            raise LostLeaseError(row.id)
