"""The service of retention. Any number of processes may run it, and one is the leader."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from redis.asyncio import Redis

from broker import native_batches
from broker.background import Service
from broker.batches import delete_batch, reports
from broker.clock import now_ms
from broker.evaluations import reports as evaluations
from broker.evaluations.transitions import delete_evaluation
from broker.events.job_events import fence_key, stream_key
from broker.jobs import privacy
from broker.lifecycle import retention
from broker.settings import Settings
from broker.storage.database import Database, SeenVersion
from broker.storage.files import FileStore
from workers.services.leader_election import LeaderElection

TICK_SECONDS = 1.0
RETIRE_SECONDS = 30.0  # between two deletions of what is too old
GROUP = 20  # batches and evaluations deleted at a time


@dataclass(frozen=True, slots=True)
class RetentionService:
    """The deletions of one process. One process at a time is the leader."""

    election: LeaderElection
    settings: Settings
    database: Database
    redis: Redis
    files: FileStore
    _seen: SeenVersion = field(default_factory=SeenVersion)  # without contents to delete

    def services(self) -> list[Service]:
        """Return the services. The leader runs them."""
        is_leader = self.election.is_leader
        return [
            Service("retention", TICK_SECONDS, self.tidy, is_leader=is_leader),
            Service("retention-age", RETIRE_SECONDS, self.retire_all, is_leader=is_leader),
        ]

    async def retire_all(self) -> None:
        """Delete everything that is too old, a group at a time, with pauses for other writers."""
        while True:
            if not await self.retire():
                return
            await asyncio.sleep(TICK_SECONDS)

    async def tidy(self) -> None:
        """Delete the parts of ended jobs that are not to be kept, also in Redis."""
        if self._seen.is_current(self.database):
            return
        now, version = now_ms(), self.database.read_version()
        has_unkept = await self.database.read(retention.has_unkept)
        fetched_before = now - int(self.settings.fetched_answer_seconds * 1000)
        deleted = await self.database.write(retention.delete_unkept, now, fetched_before)
        if deleted:
            keys = [key for job_id in deleted for key in (stream_key(job_id), fence_key(job_id))]
            await self.redis.delete(*keys)
        self._seen.version = None if has_unkept else version

    async def retire(self) -> bool:
        """Delete a group of old jobs of each workspace. Return whether there may be more."""
        now = now_ms()
        more = await self.database.write(native_batches.delete_old, now)
        days = self.settings.retention_days
        for row in await self.database.read(retention.list_workspace_settings):
            settings = retention.read_settings(row)
            before = privacy.find_deletion_time(settings, days, now)
            if before is not None:
                more |= await self.database.write(
                    partial(
                        retention.delete_old, anonymous=before == settings.get("forget_before")
                    ),
                    *(row.id, before, now),
                )
                more |= await self._retire_batches(row.id, before)
                more |= await self._retire_evaluations(row.id, before)
        return more

    async def _retire_evaluations(self, workspace_id: str, before: int) -> bool:
        """Delete a group of old evaluations. Return whether there may be more."""
        found = await self.database.read(evaluations.list_ended_before, workspace_id, before, GROUP)
        for evaluation_id in found:
            deleted = await self.database.write(delete_evaluation, evaluation_id, workspace_id)
            for file_id in deleted:
                await asyncio.to_thread(self.files.delete, file_id)
        return len(found) == GROUP

    async def _retire_batches(self, workspace_id: str, before: int) -> bool:
        """Delete a group of old batches. Return whether there may be more."""
        found = await self.database.read(reports.list_ended_before, workspace_id, before, GROUP)
        for batch_id in found:
            deleted = await self.database.write(delete_batch, batch_id, workspace_id)
            for file_id in deleted:
                await asyncio.to_thread(self.files.delete, file_id)
        return len(found) == GROUP
