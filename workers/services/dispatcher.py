"""Publish what is due and rescue what was lost. Any number may run; one at a time leads.

The leader also chains new ledger entries and announces budgets that are used up. Every step is a
guarded statement, so two leaders for a moment would only do work twice.
"""

import asyncio

import structlog
from redis.exceptions import RedisError

from broker import rate_limits
from broker.background import Service
from broker.billing import ledger
from broker.billing.budget_notices import announce_thresholds
from broker.clock import now_ms
from broker.dispatch.dispatch import Due, Memory, dispatch_due
from broker.dispatch.due import waiting_providers
from broker.events import signals
from broker.jobs import reports
from broker.lifecycle import expire, rescue
from broker.providers.pacing import NO_LOAD, find_room, read_loads
from broker.queues import Lane, Ready
from broker.routing.waiting import absent
from broker.webhooks import due, records
from workers.attempt.pacing import defer
from workers.context import WorkerContext
from workers.services.leader_election import LeaderElection

CHAIN_LOOKS = 5  # one after another, until the next tick

log = structlog.get_logger()


async def chain_entries(context: WorkerContext) -> None:
    """Chain what was booked since the last look, and count the jobs that ended with it."""
    for _ in range(CHAIN_LOOKS):
        chained = await context.database.write(ledger.chain_entries, patient=True)
        if chained.ended:
            await _count(context, chained)
        if chained.entries < ledger.CHAIN_GROUP:
            return


async def _count(context: WorkerContext, chained: ledger.Chained) -> None:
    ends = await context.database.read(reports.ends, chained.ended)
    try:
        await signals.count_ended(context.redis, ends)
    except (RedisError, OSError) as error:  # a count that is lost stays lost
        log.info("metrics.not_counted", jobs=len(chained.ended), error=str(error))


async def announce_budgets(context: WorkerContext) -> None:
    """Announce the thresholds that spending has reached."""
    await context.database.write(announce_thresholds, now_ms())


TICK_SECONDS = 0.25
LOOK_BACK_SECONDS = 2.0  # between looks for lost workers and passed deadlines


class Dispatcher:
    """The dispatcher of one process. One process at a time is the leader."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._election = LeaderElection(context.redis, "dispatcher", context.worker_id)
        self._memory = Memory()  # of turns: each look goes on where the last one ended

    def services(self) -> list[Service]:
        """Return the loops of this part. The leader runs them."""
        is_leader = self._election.is_leader
        return [
            Service("dispatcher", TICK_SECONDS, self.dispatch_and_chain, is_leader=is_leader),
            Service("rescue", LOOK_BACK_SECONDS, self.look_back, is_leader=is_leader),
        ]

    async def dispatch_and_chain(self) -> None:
        """Publish what is due, then chain the new ledger entries."""
        await self.dispatch()
        await chain_entries(self._context)

    async def dispatch(self) -> None:
        """Publish what is due: jobs and webhook deliveries, looked up in one transaction."""
        now = now_ms()
        await asyncio.gather(self._dispatch_jobs(now), self._dispatch_deliveries(now))

    async def _dispatch_jobs(self, now: int) -> None:
        await self._hold_back(now)
        context = self._context
        look = Due(now, await self._rooms(now), self._memory)
        due = await context.database.write(dispatch_due, look, patient=True)
        self._publish([job for job in due if job.provider in context.routes])
        homeless = [job for job in due if job.provider not in context.routes]
        await asyncio.gather(*[self._defer(job, now) for job in homeless])

    async def _defer(self, job: Ready, now: int) -> None:
        """Move a job on along its plan whose provider nobody consumes for, or let it wait."""
        await defer(self._context, Lane(job.lane), job.job_id, absent(job.provider, now))

    async def _hold_back(self, now: int) -> None:
        """Let jobs for later wait on while their key has as many open ones as it may."""
        due = await self._context.database.read(rate_limits.find_due_jobs, now)
        if waiting := await rate_limits.find_over_limit(self._context.limiter, due, now):
            await self._context.database.write(rate_limits.postpone, waiting, now, patient=True)

    async def _rooms(self, now: int) -> dict[str, int]:
        """Return how many jobs may wait on each provider's queues; asks for the busy ones only."""
        waiting = await self._context.database.read(waiting_providers)
        loads = await read_loads(self._context.redis, waiting, now) if waiting else {}
        return {
            slug: 0
            if slug in self._context.pauses
            else find_room(route.limits, loads.get(slug, NO_LOAD))
            for slug, route in self._context.routes.items()
        }

    async def _dispatch_deliveries(self, now: int) -> None:
        deliveries = await self._context.database.write(due.publish_due, now)
        self._context.publisher.publish_deliveries(deliveries)

    async def look_back(self) -> None:
        """Rescue what silent workers held, and end the jobs whose deadline has passed."""
        now = now_ms()
        rescued = await self._context.database.write(rescue, now)
        if rescued:
            log.warning("dispatcher.rescued", jobs=len(rescued))
        if deliveries := await self._context.database.write(records.rescue, now):
            log.warning("dispatcher.rescued", deliveries=deliveries)
        await self._context.database.write(expire, now)
        await announce_budgets(self._context)

    def _publish(self, jobs: list[Ready]) -> None:
        for job in jobs:
            self._context.publisher.publish(job.provider, job.lane, [job.job_id])
