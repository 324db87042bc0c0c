"""The service that collects jobs into native batches, and takes the steps that are due.

Any number of processes may run it. A step is taken under a lease on the row of the batch. If it is
interrupted, the row shows which step is next (`broker.native_batches`).
"""

import asyncio
from functools import partial

import structlog
from sqlalchemy.exc import OperationalError

from broker.background import Service, end_tasks
from broker.clock import now_ms
from broker.ids import new_id
from broker.native_batches import (
    Collect,
    NativeBatchRow,
    collect_jobs,
    glance,
    hurry,
    save_batch,
    take_batch,
)
from broker.providers.pauses import LivePauses
from broker.storage.database import SeenVersion
from workers.attempt.retry_until_stored import OUT_OF_SERVICE, retry_until_stored
from workers.native_batches.registry import BATCH_APIS
from workers.native_batches.step import Step, StepTools

TICK_SECONDS = 1.0
MAX_STEPS = 4  # steps that one process takes at a time

log = structlog.get_logger()


class NativeBatchKeeper:
    """The service of native batches in one process."""

    def __init__(self, tools: StepTools, pauses: LivePauses) -> None:
        self._tools = tools
        self._settings = tools.settings
        self._database = tools.database
        self._pauses = pauses
        self._steps: set[asyncio.Task[None]] = set()
        self._seen = SeenVersion()  # without work now or later

    def services(self) -> list[Service]:
        """Return the service. Every process may run it."""
        interval = min(TICK_SECONDS, self._settings.native_batch_poll_seconds)
        return [Service("native-batches", interval, self.run_due, close=self.close)]

    async def close(self) -> None:
        """Cancel the steps that are running."""
        await end_tasks(self._steps)

    async def run_due(self) -> None:
        """Collect jobs that have waited long enough, and begin the steps that are due."""
        if self._seen.is_current(self._database):
            return
        version = self._database.read_version()
        found = await self._database.read(glance, now_ms())
        self._seen.version = None if found.later or found.called_off else version
        if found.waiting:
            await self.collect()
        if found.called_off:
            await self._database.write(hurry, now_ms())
        for _ in range(min(found.due, MAX_STEPS - len(self._steps))):
            step = asyncio.create_task(self.step())
            self._steps.add(step)
            step.add_done_callback(self._steps.discard)

    async def collect(self) -> None:
        """Create a batch of each group of jobs that is full or has waited long enough."""
        settings = self._settings
        look = Collect(
            now=now_ms(),
            wait_ms=int(settings.native_batch_wait_seconds * 1000),
            max_lines=settings.native_batch_max_lines,
            max_bytes=settings.native_batch_max_bytes,
            reserve_ms=int(settings.native_batch_reserve_seconds * 1000),
            bytes_at=self._bytes_at(),
            paused=self._pauses.providers,
        )
        for batch_id in await self._database.write(collect_jobs, look):
            log.info("native_batch.collected", batch=batch_id)

    async def step(self) -> None:
        """Take the next step of a batch that is due, if there is one.

        Each step has an owner id of its own. If its lease ends, another step may take the batch,
        also in this process, and the first one can write no more.
        """
        owner = new_id("step_")
        row = await self._database.write(take_batch, owner, now_ms(), self._lease_ms)
        if row is None:
            return
        stepping = asyncio.create_task(Step(self._tools, row).take())
        renewing = asyncio.create_task(self._renew(row, stepping))
        try:
            await stepping
        except OUT_OF_SERVICE as error:
            log.warning("native_batch.step_postponed", error=str(error))
        except Exception:  # its lease ends, and another step takes the batch
            log.exception("native_batch.step_failed", batch=row.id)
        finally:
            await end_tasks([stepping, renewing])

    async def _renew(self, row: NativeBatchRow, stepping: "asyncio.Task[None]") -> None:
        """Renew the lease while the step runs. Stop the step if that fails."""
        seconds = self._settings.lease_seconds
        try:
            is_ours = True
            while is_ours:
                await asyncio.sleep(self._settings.heartbeat_seconds)
                is_ours = await retry_until_stored(
                    partial(self._extend, row), OperationalError, seconds=seconds
                )
        finally:
            stepping.cancel()

    async def _extend(self, row: NativeBatchRow) -> bool:
        lease = {"lease_expires_at": now_ms() + self._lease_ms}
        return await self._database.write(save_batch, row.id, row.lease_owner, lease)

    def _bytes_at(self) -> dict[str, int]:
        """Return half of the limit of each API, because a body grows when it becomes a line."""
        return {
            slug: BATCH_APIS[route.batches].max_bytes // 2
            for slug, route in self._tools.routes.items()
            if route.batches
        }

    @property
    def _lease_ms(self) -> int:
        return int(self._settings.lease_seconds * 1000)
