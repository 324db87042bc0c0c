"""Asks the limits, wherever they are kept, and puts right what they count as open."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, select

from broker.jobs.states import AT_REST
from broker.rate_limits.local import LocalLimits
from broker.rate_limits.rules import Limit, LimitKind, Refusal
from broker.rate_limits.shared import SharedLimits
from broker.storage.database import Database
from broker.storage.tables import Job, table

PATIENCE_SECONDS = 2.0  # then Redis counts as away
CONNECTIONS = 16  # beyond them requests wait their turn
AWAY_SECONDS = 5.0  # how long Redis is left alone after it did not answer
YOUNG_MS = 60_000  # a job that is not in the database yet may still be on its way there

_jobs = table(Job)
_AT_REST = {state.value for state in AT_REST}
Result = TypeVar("Result")
Limits = SharedLimits | LocalLimits

log = structlog.get_logger()


def connect(url: str) -> Redis:
    """Return a client that queues for a connection, where others would give up."""
    return Redis.from_pool(
        BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=None)
    )


class Limiter:
    """Counts requests against limits, in Redis; in this process while Redis is away."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self._redis = redis
        self._shared = SharedLimits(redis)
        self._local = LocalLimits()
        self._database = database
        self._away_until = 0.0

    async def close(self) -> None:
        await self._redis.aclose()

    async def take(self, limits: Sequence[Limit], member: str, now: int) -> Refusal | None:
        """Count a job against all its limits in one round trip, or say which is reached.

        Jobs that ended are not uncounted as they end: only where a limit seems full, the database
        is asked which of its jobs are still open. So nothing leaks when a process dies.
        """
        refusal = await self._ask(lambda kept: self._take(kept, limits, member, now))
        if refusal is None or refusal.limit.kind is not LimitKind.OPEN:
            return refusal
        if not await self._drop_ended(refusal.limit, now):
            return refusal
        return await self.take(limits, member, now)

    async def give_back(self, limits: Sequence[Limit], member: str, now: int) -> None:
        """Uncount a job that came to nothing, or was there already."""
        await self._local.give_back(limits, member, now)
        await self._ask(lambda kept: kept.give_back(limits, member, now))

    async def count(self, limit: Limit, now: int) -> int:
        """Return how many are counted against a limit."""
        return await self._ask(lambda kept: kept.count(limit, now))

    async def _take(
        self, kept: Limits, limits: Sequence[Limit], member: str, now: int
    ) -> Refusal | None:
        """Take where the limits are kept; what Redis lets in is known here too, should it go."""
        refusal = await kept.take(limits, member, now)
        if refusal is None and kept is self._shared:
            self._local.note(limits, member, now)
        return refusal

    async def _drop_ended(self, limit: Limit, now: int) -> bool:
        """Uncount what is open no more; return whether there was any."""
        counted = await self._ask(lambda kept: kept.taken(limit, now))
        gone = await self._database.read(_ended, counted, now)
        await self._local.drop(limit, gone, now)
        await self._ask(lambda kept: kept.drop(limit, gone, now))
        return bool(gone)

    async def _ask(self, question: Callable[[Limits], Awaitable[Result]]) -> Result:
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await question(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning("limits.redis_away", error=str(error))
        return await question(self._local)


def _ended(connection: Connection, counted: Mapping[str, int], now: int) -> list[str]:
    """Return those jobs that wait for nothing any more, and those that never came to be."""
    query = select(_jobs.c.id, _jobs.c.state).where(_jobs.c.id.in_(counted))
    states = {row.id: row.state for row in connection.execute(query)}
    return [
        job_id
        for job_id, counted_at in counted.items()
        if states.get(job_id) in _AT_REST or (job_id not in states and counted_at < now - YOUNG_MS)
    ]
