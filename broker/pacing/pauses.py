"""Pauses that one process found out, told to the others: a small hash, read now and then."""

from collections.abc import Mapping

from redis.asyncio import Redis

from broker.evidence import EndpointKey
from broker.pacing.script import PREFIX

KEY = f"{PREFIX}pauses"
KEPT_SECONDS = 600


async def exchange(
    redis: Redis, news: Mapping[EndpointKey, int], now: int
) -> list[tuple[EndpointKey, int]]:
    """Tell these pauses and return all that are known, in one round trip. Raises RedisError."""
    pipeline = redis.pipeline(transaction=False)
    if news:
        pipeline.hset(KEY, mapping={"\n".join(key): until for key, until in news.items()})
        pipeline.expire(KEY, KEPT_SECONDS)
    pipeline.hgetall(KEY)
    known = {field.decode(): int(until) for field, until in (await pipeline.execute())[-1].items()}
    over = [field for field, until in known.items() if until <= now]
    if over:
        await redis.hdel(KEY, *over)
    return [(_endpoint(field), until) for field, until in known.items() if until > now]


def _endpoint(field: str) -> EndpointKey:
    provider, model = field.split("\n", 1)
    return provider, model
