"""Limits kept in Redis: all of a request's limits are asked, and taken, in one atomic script.

Each limit is a sorted set of those it let in, by time: what left the window is dropped, then it is
full or it is not. So the limit holds in every window, however the requests come, and a request that
is refused counts against nothing. Who is counted already passes, and is not counted twice.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from broker.rate_limits.rules import Limit, LimitKind, Refusal, key_of, next_day

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

    async def take(self, limits: Sequence[Limit], member: str, now: int) -> Refusal | None:
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

    async def give_back(self, limits: Sequence[Limit], member: str, now: int) -> None:
        """Uncount a member: nothing came of its request."""
        pipeline = self._redis.pipeline(transaction=False)
        for limit in limits:
            pipeline.zrem(key_of(limit, now), member)
        await pipeline.execute()

    async def taken(self, limit: Limit, now: int) -> dict[str, int]:
        """Return who is counted, and since when."""
        found: Any = await self._redis.zrange(key_of(limit, now), 0, -1, withscores=True)
        return {member.decode(): int(at) for member, at in found}

    async def count(self, limit: Limit, now: int) -> int:
        return int(await self._redis.zcard(key_of(limit, now)))

    async def drop(self, limit: Limit, gone: Sequence[str], now: int) -> None:
        """Uncount members that have ended."""
        if gone:
            await self._redis.zrem(key_of(limit, now), *gone)


def refusal_of(limit: Limit, oldest: int, now: int) -> Refusal:
    """Say when a full limit lets the next one in."""
    if limit.kind is LimitKind.RATE:
        return Refusal(limit, oldest + limit.window_ms if limit.most else None)
    return Refusal(limit, next_day(now) if limit.kind is LimitKind.DAY else None)
