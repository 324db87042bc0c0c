"""Pauses that one process found out, told to the others: a small hash, read now and then."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from broker.evidence import EndpointKey
from broker.pacing.script import PREFIX

KEY = f"{PREFIX}pauses"
KEPT_SECONDS = 600

_PAUSE = """
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if tonumber(ARGV[2]) > known then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
"""The later of two moments stands: who heard of the earlier one does not take the other back."""


async def exchange(
    redis: Redis, news: Mapping[EndpointKey, int], now: int
) -> list[tuple[EndpointKey, int]]:
    """Tell these pauses and return all that are known, in one round trip. Raises RedisError."""
    pipeline = redis.pipeline(transaction=False)
    for endpoint, until in news.items():
        pipeline.eval(_PAUSE, 1, KEY, "\n".join(endpoint), until, KEPT_SECONDS)
    pipeline.hgetall(KEY)
    stored: Mapping[bytes, bytes] = (await pipeline.execute())[-1]
    known = read(stored)
    over = [field for field, until in stored.items() if int(until) <= now]
    if over:
        client: Any = redis  # its annotations mix the sync and async clients
        await client.hdel(KEY, *over)
    return [(endpoint, until) for endpoint, until in known.items() if until > now]


def read(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, int]:
    """Return until when each endpoint is not to be called (Unix ms), as it was in the hash."""
    return {_endpoint(field.decode()): int(until) for field, until in stored.items()}


def _endpoint(field: str) -> EndpointKey:
    provider, model = field.split("\n", 1)
    return provider, model
