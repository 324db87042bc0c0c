"""Pauses that one process found out, told to the others: a small hash, read now and then."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from broker.providers.endpoint_stats import EndpointKey, Pause, PauseReason
from broker.providers.pacing.script import PREFIX

KEY = f"{PREFIX}paused"
"""Its fields are endpoints, its values the end of a pause (Unix ms) and its reason."""
KEPT_SECONDS = 600

_PAUSE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local known = tonumber(string.match(stored, '^%d+')) or 0
if tonumber(ARGV[2]) > known then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""
"""The later of two moments stands: who heard of the earlier one does not take the other back."""


async def exchange(
    redis: Redis, news: Mapping[EndpointKey, Pause], now: int
) -> list[tuple[EndpointKey, Pause]]:
    """Tell these pauses and return all that are known, in one round trip. Raises RedisError."""
    pipeline = redis.pipeline(transaction=False)
    for endpoint, pause in news.items():
        what = (pause.until, pause.reason.value, KEPT_SECONDS)
        pipeline.eval(_PAUSE, 1, KEY, "\n".join(endpoint), *what)
    pipeline.hgetall(KEY)
    stored: Mapping[bytes, bytes] = (await pipeline.execute())[-1]
    over = [field for field, value in stored.items() if _pause(value).until <= now]
    if over:
        client: Any = redis  # its annotations mix the sync and async clients
        await client.hdel(KEY, *over)
    return [(endpoint, pause) for endpoint, pause in read(stored).items() if pause.until > now]


def read(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, Pause]:
    """Return the pause of each endpoint, as it was in the hash."""
    return {_endpoint(field.decode()): _pause(value) for field, value in stored.items()}


def _pause(value: bytes) -> Pause:
    until, _, reason = value.decode().partition(" ")
    return Pause(int(until), PauseReason(reason))


def _endpoint(field: str) -> EndpointKey:
    provider, model = field.split("\n", 1)
    return provider, model
