"""Breakers in one hash of Redis, changed by compare-and-set.

Changes are rare: an opening, a probe, a recovery. When two processes make the same change, the
second finds it done.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from broker.providers.endpoint_stats import EndpointKey
from broker.providers.health.breaker import CLOSED, Breaker
from broker.providers.health.counts import PREFIX

KEY = f"{PREFIX}circuits"
MAX_TRIES = 8

_SET_IF_UNCHANGED = """
local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if found ~= ARGV[2] then return found end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return false
"""
"""Return false when the value was set, else the current value."""


def encode_endpoint(endpoint: EndpointKey) -> str:
    return " ".join(endpoint)


def decode_endpoint(stored: bytes) -> EndpointKey:
    provider, _, model = stored.decode().partition(" ")
    return provider, model


def decode(stored: bytes) -> Breaker:
    """Return a stored breaker; one of an incompatible version counts as closed."""
    try:
        return Breaker(**orjson.loads(stored)) if stored else CLOSED
    except (TypeError, ValueError):
        return CLOSED


def encode(breaker: Breaker) -> bytes:
    return b"" if breaker == CLOSED else orjson.dumps(breaker)


def decode_all(stored: Mapping[bytes, bytes]) -> dict[EndpointKey, Breaker]:
    return {decode_endpoint(field): decode(value) for field, value in stored.items()}


async def change(
    redis: Redis, endpoint: EndpointKey, step: Callable[[Breaker], Breaker]
) -> tuple[Breaker, Breaker]:
    """Apply `step` to an endpoint's breaker, atomically; return it as it was and as it is now.

    `step` is called again when another process has changed the breaker meanwhile.
    Raises RedisError.
    """
    field = encode_endpoint(endpoint)
    client: Any = redis  # its annotations mix the sync and async clients
    found: bytes = await client.hget(KEY, field) or b""
    for _ in range(MAX_TRIES):
        before = decode(found)
        after = step(before)
        if after == before:
            return before, before
        current = await client.eval(_SET_IF_UNCHANGED, 1, KEY, field, found, encode(after))
        if current is None:
            return before, after
        found = current
    return before, before  # other processes changed it each time; the next refresh tries again
