"""Which job answered a request before: kept in Redis for as long as its answer may be given again.

The answers themselves are the jobs'. Redis holds ids only, so losing it costs hits, not answers.
Source: openrouter.ai/docs/guides/features/response-caching.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from broker.accounts import Principal
from broker.completion import Json

DEFAULT_TTL_SECONDS = 300
LONGEST_TTL_SECONDS = 86_400
_PREFIX = "waybill:cache:"


@dataclass(frozen=True, slots=True)
class Known:
    """The latest job that was asked the same, and how long its answer is good for once it came."""

    job_id: str
    ttl_seconds: int


def key(principal: Principal, path: str, body: Json) -> str:
    """Digest who asks what, where: only the same API key is given its own answers again."""
    asked = [principal.workspace_id, principal.api_key_id, path, body]
    digest = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
    return _PREFIX + digest.hexdigest()


async def recall(redis: Redis, key: str) -> Known | None:
    """Return who was asked the same. Raises RedisError."""
    found: Any = await redis.get(key)
    if found is None:
        return None
    ttl, job_id = found.decode().split(" ", 1)
    return Known(job_id, int(ttl))


async def remember(redis: Redis, key: str, known: Known, *, patience_seconds: int) -> None:
    """Keep a job that was just asked; it may take as long as `patience_seconds` to answer."""
    told = f"{known.ttl_seconds} {known.job_id}"
    await redis.set(key, told, ex=known.ttl_seconds + patience_seconds)


async def forget(redis: Redis, key: str) -> None:
    await redis.delete(key)
