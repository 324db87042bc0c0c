"""Remember in Redis which provider's prompt cache holds a conversation.

A worker writes it with the events of an answer that used or filled a cache; the API reads it, with
one GET, for requests that go on with a conversation. Source: OpenRouter's docs, "Prompt caching"
(provider sticky routing): its key and its ten minutes.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.completion import Json, Usage

IDLE_SECONDS = 600
NO_AFFINITY: Mapping[str, str] = {}


def key(workspace_id: str, body: Json) -> str | None:
    """Return the Redis key of a body's conversation, or None if the body identifies none."""
    identity = _session(body) or _beginning(body)
    digest = _digest(workspace_id, identity) if identity else None
    return f"waybill:warm:{digest.hex()}" if digest else None


def session_seed(batch_id: str, body: Json) -> int:
    """Return the routing seed of a batch line. Lines of one session share it, and so a cache.

    Lines are planned before any of them has an answer to remember. 0: the line names no session.
    """
    identity = _session(body)
    digest = _digest(batch_id, identity) if identity else None
    return int.from_bytes(digest[:4]) if digest else 0


def _session(body: Json) -> Any:
    return body.get("session_id") or body.get("prompt_cache_key")


def _digest(owner: str, identity: Any) -> bytes | None:
    try:
        name = orjson.dumps([owner, identity], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return None
    return hashlib.sha256(name).digest()[:16]


def may_know(body: Json) -> bool:
    """Return whether an earlier request of this conversation may have filled a prompt cache."""
    if _session(body):
        return True
    return any(each.get("role") == "assistant" for each in _messages(body))


def used_cache(usage: Usage, request: bytes) -> bool:
    """Return whether an answer used or filled a cache, or its caller named a session."""
    return bool(usage.cache_read or usage.cache_write) or b'"session_id"' in request


def value(provider: str, model: str) -> str:
    return f"{provider} {model}"


async def find(redis: Redis, workspace_id: str, body: Json) -> Mapping[str, str]:
    """Return {model slug: provider} of the endpoint that knows this conversation, if any does."""
    name = key(workspace_id, body) if may_know(body) else None
    if name is None:
        return NO_AFFINITY
    try:
        found: Any = await redis.get(name)
    except (RedisError, OSError):
        return NO_AFFINITY
    if not found:
        return NO_AFFINITY
    provider, _, model = found.decode().partition(" ")
    return {model: provider}


def _beginning(body: Json) -> Any:
    """Return what a conversation keeps: its first instruction and its first other message."""
    messages = _messages(body)
    identity = [each for each in messages if each.get("role") in ("system", "developer")][:1]
    other = [each for each in messages if each.get("role") not in ("system", "developer")][:1]
    return [*identity, *other] if other else None


def _messages(body: Json) -> list[Json]:
    messages = body.get("messages")
    return (
        [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    )
