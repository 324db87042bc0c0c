"""The dispatcher: publish what is due, and rescue the jobs of lost workers.

Any number of processes may run it, and one of them is the leader. It also chains new ledger entries
and announces budgets that are used up. Two leaders for a moment do no harm, because each step is a
guarded statement.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from broker import rate_limits
from broker.background import Service
from broker.billing import ledger
from broker.billing.budget_notices import announce_thresholds
from broker.clock import now_ms
from broker.dispatch.dispatch import DispatchPoll, DispatchState, dispatch_due
from broker.dispatch.due import has_due_jobs, has_waiting_jobs, list_waiting_providers
from broker.dispatch.publisher import Publisher
from broker.events import signals
from broker.jobs import reports
from broker.lifecycle import expire, has_open_jobs, rescue
from broker.providers.pacing import NO_LOAD, find_room, read_loads
from broker.providers.pauses import LivePauses
from broker.queues import Lane, Ready
from broker.rate_limits import Limiter
from broker.routing.waiting import build_absent
from broker.storage.database import Database, SeenVersion
from broker.webhooks import due, records
from workers.attempt.pacing import Pacing
from workers.provider_routes import ProviderRoute
from workers.services.leader_election import LeaderElection

CHAIN_GROUPS = 5  # groups of entries that one step chains

log = structlog.get_logger()


TICK_SECONDS = 0.25
RESCUE_SECONDS = 2.0  # between two searches for lost workers and passed deadlines


@dataclass(frozen=True, slots=True)
class Work:
    """The kinds of work that a step of the dispatcher finds."""

    has_jobs: bool
    has_deliveries: bool
    has_entries: bool
    is_idle: bool
    """Nothing is due now or later, so that only a change of the data can create work."""


def find_work(connection: Connection, now: int) -> Work:
    """Find the kinds of work in one read, which costs much less than the writes of each kind."""
    has_entries = ledger.has_new_entries(connection)
    return Work(
        has_jobs=has_due_jobs(connection, now),
        has_deliveries=due.has_due(connection, now),
        has_entries=has_entries,
        is_idle=not has_entries
        and not has_waiting_jobs(connection)
        and not due.has_pending(connection),
    )


def has_open_work(connection: Connection) -> bool:
    """Return whether the time of a job or a delivery can end: its lease or its deadline."""
    return has_open_jobs(connection) or records.has_leases(connection)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """The dispatcher of one process. One process at a time is the leader."""

    election: LeaderElection
    database: Database
    redis: Redis
    publisher: Publisher
    limiter: Limiter
    routes: Mapping[str, ProviderRoute]
    pauses: LivePauses
    pacing: Pacing
    _seen: SeenVersion = field(default_factory=SeenVersion)  # without work now or later
    _seen_closed: SeenVersion = field(default_factory=SeenVersion)  # without open work
    _state: DispatchState = field(default_factory=DispatchState)
    """The position in the turns, from which the next step continues."""

    def services(self) -> list[Service]:
        """Return the loops of this part. The leader runs them."""
        is_leader = self.election.is_leader
        return [
            Service("dispatcher", TICK_SECONDS, self.dispatch_and_chain, is_leader=is_leader),
            Service("rescue", RESCUE_SECONDS, self.rescue_and_expire, is_leader=is_leader),
        ]

    async def dispatch_and_chain(self) -> None:
        """Publish what is due, then chain the new ledger entries. Write only if there is any."""
        if self._seen.is_current(self.database):
            return
        version = self.database.read_version()
        work = await self.database.read(find_work, now_ms())
        self._seen.version = version if work.is_idle else None
        if work.has_jobs or work.has_deliveries:
            await self.dispatch()
        if work.has_entries:
            await self.chain_entries()

    async def dispatch(self) -> None:
        """Publish the jobs and the webhook deliveries that are due."""
        now = now_ms()
        await asyncio.gather(self._dispatch_jobs(now), self._dispatch_deliveries(now))

    async def chain_entries(self) -> None:
        """Chain the new ledger entries, and count the jobs that ended with them."""
        for _ in range(CHAIN_GROUPS):
            chained = await self.database.write(ledger.chain_entries, low_priority=True)
            if chained.ended:
                await self._count_ended(chained)
            if chained.entries < ledger.CHAIN_GROUP:
                return

    async def rescue_and_expire(self) -> None:
        """Rescue the jobs and deliveries of lost workers, and end jobs after their deadlines.

        Then announce the budgets whose thresholds are reached.
        """
        if self._seen_closed.is_current(self.database):
            return
        now, version = now_ms(), self.database.read_version()
        is_open = await self.database.read(has_open_work)
        rescued = await self.database.write(rescue, now)
        if rescued:
            log.warning("dispatcher.rescued", jobs=len(rescued))
        if deliveries := await self.database.write(records.rescue, now):
            log.warning("dispatcher.rescued", deliveries=deliveries)
        await self.database.write(expire, now)
        await self.database.write(announce_thresholds, now_ms())
        self._seen_closed.version = None if is_open else version

    async def _dispatch_jobs(self, now: int) -> None:
        await self._postpone_over_limit(now)
        poll = DispatchPoll(now, await self._rooms(now), self._state)
        due_jobs = await self.database.write(dispatch_due, poll, low_priority=True)
        unserved = []
        for job in due_jobs:
            if job.provider in self.routes:
                self.publisher.publish(job.provider, job.lane, [job.job_id])
            else:
                unserved.append(job)
        await asyncio.gather(*[self._defer_unserved(job, now) for job in unserved])

    async def _defer_unserved(self, job: Ready, now: int) -> None:
        """Move a job whose provider is not configured to its next plan step, or let it wait."""
        await self.pacing.defer(Lane(job.lane), job.job_id, build_absent(job.provider, now))

    async def _postpone_over_limit(self, now: int) -> None:
        """Let scheduled jobs wait whose key has as many open jobs as it may have."""
        scheduled = await self.database.read(rate_limits.find_due_jobs, now)
        if waiting := await rate_limits.find_over_limit(self.limiter, scheduled, now):
            await self.database.write(rate_limits.postpone, waiting, now, low_priority=True)

    async def _rooms(self, now: int) -> dict[str, int]:
        """Return how many more jobs may be on the queues of each provider."""
        waiting = await self.database.read(list_waiting_providers)
        loads = await read_loads(self.redis, waiting, now) if waiting else {}
        return {
            slug: 0 if slug in self.pauses else find_room(route.limits, loads.get(slug, NO_LOAD))
            for slug, route in self.routes.items()
        }

    async def _dispatch_deliveries(self, now: int) -> None:
        deliveries = await self.database.write(due.publish_due, now)
        self.publisher.publish_deliveries(deliveries)

    async def _count_ended(self, chained: ledger.Chained) -> None:
        """Add the ended jobs to the counters of the metrics. Without Redis they are not counted."""
        ends = await self.database.read(reports.count_ended, chained.ended)
        try:
            await signals.count_ended(self.redis, ends)
        except (RedisError, OSError) as error:
            log.info("metrics.not_counted", jobs=len(chained.ended), error=str(error))
