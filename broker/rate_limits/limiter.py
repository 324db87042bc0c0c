"""Rate limits counted in Redis by one atomic script, or in this process without Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, select

from broker.jobs.states import INACTIVE
from broker.rate_limits.rules import LimitKind, RateLimit, RateLimitRefusal, key_of, next_day
from broker.storage.database import Database
from broker.storage.tables import Job, table

_TAKE = """
local now, member = tonumber(ARGV[1]), ARGV[2]
for i, key in ipairs(KEYS) do
  local most, window = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if window > 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window) end
  if redis.call('ZCARD', key) >= most and not redis.call('ZSCORE', key, member) then
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return {i, oldest[2] or '0'}
  end
end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, member)
  redis.call('PEXPIRE', key, tonumber(ARGV[3 * i + 2]))
end
return {0, '0'}
"""
_KEPT_MS = {LimitKind.RATE: 60_000, LimitKind.DAY: 90_000_000, LimitKind.OPEN: 7 * 86_400_000}


class SharedLimits:
    """Takes from limits that all processes share. Raises what Redis raises."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)

    async def take(
        self, limits: Sequence[RateLimit], member: str, now: int
    ) -> RateLimitRefusal | None:
        """Count `member` against all of `limits`, or against none and say which is reached."""
        arguments: list[Any] = [now, member]
        for limit in limits:
            window = limit.window_ms if limit.kind is LimitKind.RATE else 0
            arguments += [limit.most, window, _KEPT_MS[limit.kind]]
        keys = [key_of(limit, now) for limit in limits]
        place, oldest = await self._take(keys=keys, args=arguments)
        if not place:
            return None
        return refusal_of(limits[place - 1], int(float(oldest)), now)

    async def give_back(self, limits: Sequence[RateLimit], member: str, now: int) -> None:
        """Uncount a member: nothing came of its request."""
        pipeline = self._redis.pipeline(transaction=False)
        for limit in limits:
            pipeline.zrem(key_of(limit, now), member)
        await pipeline.execute()

    async def taken(self, limit: RateLimit, now: int) -> dict[str, int]:
        """Return who is counted, and since when."""
        found: Any = await self._redis.zrange(key_of(limit, now), 0, -1, withscores=True)
        return {member.decode(): int(at) for member, at in found}

    async def count(self, limit: RateLimit, now: int) -> int:
        return int(await self._redis.zcard(key_of(limit, now)))

    async def drop(self, limit: RateLimit, gone: Sequence[str], now: int) -> None:
        """Uncount members that have ended."""
        if gone:
            await self._redis.zrem(key_of(limit, now), *gone)


def refusal_of(limit: RateLimit, oldest: int, now: int) -> RateLimitRefusal:
    """Say when a full limit lets the next one in."""
    if limit.kind is LimitKind.RATE:
        return RateLimitRefusal(limit, oldest + limit.window_ms if limit.most else None)
    return RateLimitRefusal(limit, next_day(now) if limit.kind is LimitKind.DAY else None)


MAX_NAMES = 10_000


class LocalLimits:
    """Takes from limits of this process alone."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, int]] = {}  # limit → member → when

    async def take(
        self, limits: Sequence[RateLimit], member: str, now: int
    ) -> RateLimitRefusal | None:
        """Count `member` against all of `limits`, or against none and say which is reached."""
        for limit in limits:
            taken = self._current(limit, now)
            if len(taken) >= limit.most and member not in taken:
                return refusal_of(limit, min(taken.values(), default=0), now)
        self.note(limits, member, now)
        return None

    def note(self, limits: Sequence[RateLimit], member: str, now: int) -> None:
        """Count what was let in, here or by Redis."""
        if len(self._taken) > MAX_NAMES:
            self._taken.clear()
        for limit in limits:
            taken = self._current(limit, now)
            while taken and len(taken) >= limit.most and member not in taken:
                del taken[next(iter(taken))]  # it has ended, as another process found out
            taken[member] = now
            self._taken[key_of(limit, now)] = taken

    async def give_back(self, limits: Sequence[RateLimit], member: str, now: int) -> None:
        for limit in limits:
            self._taken.get(key_of(limit, now), {}).pop(member, None)

    async def taken(self, limit: RateLimit, now: int) -> dict[str, int]:
        return dict(self._taken.get(key_of(limit, now), {}))

    async def count(self, limit: RateLimit, now: int) -> int:
        return len(self._taken.get(key_of(limit, now), {}))

    async def drop(self, limit: RateLimit, gone: Sequence[str], now: int) -> None:
        for member in gone:
            self._taken.get(key_of(limit, now), {}).pop(member, None)

    def _current(self, limit: RateLimit, now: int) -> dict[str, int]:
        taken = self._taken.get(key_of(limit, now), {})
        if limit.kind is LimitKind.RATE:
            return {each: at for each, at in taken.items() if at > now - limit.window_ms}
        return taken


PATIENCE_SECONDS = 2.0  # then Redis counts as away
CONNECTIONS = 16  # beyond them requests wait their turn
AWAY_SECONDS = 5.0  # how long Redis is left alone after it did not answer
YOUNG_MS = 60_000  # a job that is not in the database yet may still be on its way there

_jobs = table(Job)
_INACTIVE = {state.value for state in INACTIVE}
Result = TypeVar("Result")
LimitStore = SharedLimits | LocalLimits

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

    async def take(
        self, limits: Sequence[RateLimit], member: str, now: int
    ) -> RateLimitRefusal | None:
        """Count a job against all its limits in one round trip, or say which is reached.

        Jobs that ended are not uncounted as they end: only where a limit seems full, the database
        is queried for the jobs that are still open. So nothing leaks when a process dies.
        """
        refusal = await self._ask(lambda kept: self._take(kept, limits, member, now))
        if refusal is None or refusal.limit.kind is not LimitKind.OPEN:
            return refusal
        if not await self._drop_ended(refusal.limit, now):
            return refusal
        return await self.take(limits, member, now)

    async def give_back(self, limits: Sequence[RateLimit], member: str, now: int) -> None:
        """Uncount a job that came to nothing, or was there already."""
        await self._local.give_back(limits, member, now)
        await self._ask(lambda kept: kept.give_back(limits, member, now))

    async def count(self, limit: RateLimit, now: int) -> int:
        """Return how many are counted against a limit."""
        return await self._ask(lambda kept: kept.count(limit, now))

    async def _take(
        self, kept: LimitStore, limits: Sequence[RateLimit], member: str, now: int
    ) -> RateLimitRefusal | None:
        """Take where the limits are kept; what Redis lets in is known here too, should it go."""
        refusal = await kept.take(limits, member, now)
        if refusal is None and kept is self._shared:
            self._local.note(limits, member, now)
        return refusal

    async def _drop_ended(self, limit: RateLimit, now: int) -> bool:
        """Uncount what is open no more; return whether there was any."""
        counted = await self._ask(lambda kept: kept.taken(limit, now))
        gone = await self._database.read(_find_inactive, counted, now)
        await self._local.drop(limit, gone, now)
        await self._ask(lambda kept: kept.drop(limit, gone, now))
        return bool(gone)

    async def _ask(self, question: Callable[[LimitStore], Awaitable[Result]]) -> Result:
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await question(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning("limits.redis_away", error=str(error))
        return await question(self._local)


def _find_inactive(connection: Connection, counted: Mapping[str, int], now: int) -> list[str]:
    """Return those jobs that wait for nothing any more, and those that never came to be."""
    query = select(_jobs.c.id, _jobs.c.state).where(_jobs.c.id.in_(counted))
    states = {row.id: row.state for row in connection.execute(query)}
    return [
        job_id
        for job_id, counted_at in counted.items()
        if states.get(job_id) in _INACTIVE or (job_id not in states and counted_at < now - YOUNG_MS)
    ]
