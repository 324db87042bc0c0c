"""Leader election by a lease in Redis: one process of many takes a role."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

LEADERSHIP_MS = 3_000
TAKE_OR_RENEW = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
KNOWN_SECONDS = 0.9  # an answer of Redis counts for so long; the lease is longer

log = structlog.get_logger()


async def find_leader(redis: Redis, role: str) -> str | None:
    """Return the id of the process that has a role; None where none has. Raises RedisError."""
    holder: Any = await redis.get(_key(role))
    return None if holder is None else str(holder, "utf-8")


def _key(role: str) -> str:
    return f"waybill:{role}"


class LeaderElection:
    """A role of one process at a time. It ends by itself if its holder does not renew it.

    For a moment there may be two leaders, so their statements must be guarded.
    """

    def __init__(
        self,
        redis: Redis,
        role: str,
        holder: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._key = _key(role)
        self._holder = holder.encode()
        self._clock = clock
        self._is_leader = False
        self._ask_at = clock()

    async def is_leader(self) -> bool:
        """Take or renew the lease, and return whether this process has it.

        The leader calls it again within LEADERSHIP_MS.
        """
        now = self._clock()
        if now >= self._ask_at:
            self._is_leader = await self._take_or_renew()
            self._ask_at = now + KNOWN_SECONDS
        return self._is_leader

    async def _take_or_renew(self) -> bool:
        client: Any = self._redis  # its annotations mix the sync and async clients
        try:
            taken = await client.eval(TAKE_OR_RENEW, 1, self._key, self._holder, LEADERSHIP_MS)
        except (RedisError, OSError) as error:
            log.info("leader.no_redis", role=self._key, error=str(error))
            return False
        return bool(taken)
