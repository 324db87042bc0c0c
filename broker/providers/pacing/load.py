"""How full providers are, as the dispatcher asks it: a few commands, in one round trip."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from broker.providers.pacing.limits import Limits
from broker.providers.pacing.script import keys

AHEAD = 2  # what is on a provider's queues, as a multiple of what it can begin meanwhile
AHEAD_SECONDS = 0.3  # from one look of the dispatcher to the next
TYPICAL_CALL_MS = 2_000


@dataclass(frozen=True, slots=True)
class Load:
    """What is in flight at a provider, from all processes."""

    in_flight: int = 0
    call_ms: int = TYPICAL_CALL_MS
    call_tokens: int = 1_000


NO_LOAD = Load()


async def read_loads(redis: Redis, providers: Iterable[str], now: int) -> dict[str, Load]:
    """Return the load of these providers. Raises RedisError."""
    names = list(providers)
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.hvals(keys(name)[1])
    replies = await pipeline.execute()
    return {name: _load(held, now) for name, held in zip(names, replies, strict=True)}


def _load(held: list[Any], now: int) -> Load:
    processes = [[int(word) for word in each.split()] for each in held]
    live = [each for each in processes if each[1] >= now]
    in_flight = sum(count for count, *_ in live)
    if not in_flight:
        return NO_LOAD
    return Load(
        in_flight=in_flight,
        call_ms=max(sum(count * ms for count, _, ms, _ in live) // in_flight, 1),
        call_tokens=max(sum(count * tokens for count, _, _, tokens in live) // in_flight, 1),
    )


def room(limits: Limits, load: Load) -> int:
    """Return how many jobs may wait on a provider's queues: about twice what it can begin soon.

    That is its free slots and those that become free until the next look, and no more than its
    rates let through; one at least, so that somebody finds out when things change. Pure.
    """
    busy = min(load.in_flight, limits.max_concurrency)
    soon = limits.max_concurrency - busy + busy * AHEAD_SECONDS * 1_000 / load.call_ms
    if limits.requests_per_minute:
        soon = min(soon, limits.requests_per_minute / 60 * AHEAD_SECONDS)
    if limits.tokens_per_minute:
        soon = min(soon, limits.tokens_per_minute / load.call_tokens / 60 * AHEAD_SECONDS)
    return max(math.ceil(AHEAD * soon), 1)
