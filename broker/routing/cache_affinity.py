"""Store in Redis the provider whose prompt cache has a conversation.

A worker writes it with the events of an answer that used or filled a cache. The API reads it with
one GET for requests that continue a conversation. Source: OpenRouter's docs, "Prompt caching"
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


def build_key(workspace_id: str, body: Json) -> str | None:
    """Return the Redis key of a body's conversation, or None if the body identifies none."""
    identity = _find_session(body) or _find_beginning(body)
    digest = _digest(workspace_id, identity) if identity else None
    return f"waybill:warm:{digest.hex()}" if digest else None


def derive_seed(batch_id: str, body: Json) -> int:
    """Return the routing seed of a batch line. Lines of one session share it, and so a cache.

    Lines are planned before any of them has an answer. It is 0 for a line without a session.
    """
    identity = _find_session(body)
    digest = _digest(batch_id, identity) if identity else None
    return int.from_bytes(digest[:4]) if digest else 0


def _find_session(body: Json) -> Any:
    return body.get("session_id") or body.get("prompt_cache_key")


def _digest(owner: str, identity: Any) -> bytes | None:
    try:
        name = orjson.dumps([owner, identity], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return None
    return hashlib.sha256(name).digest()[:16]


def may_be_cached(body: Json) -> bool:
    """Return whether an earlier request of this conversation may have filled a prompt cache."""
    if _find_session(body):
        return True
    return any(each.get("role") == "assistant" for each in _list_messages(body))


def used_cache(usage: Usage, request: bytes) -> bool:
    """Return whether an answer used or filled a cache, or its caller named a session."""
    return bool(usage.cache_read or usage.cache_write) or b'"session_id"' in request


def encode_value(provider: str, model: str) -> str:
    return f"{provider} {model}"


async def find(redis: Redis, workspace_id: str, body: Json) -> Mapping[str, str]:
    """Return {model slug: provider} of the conversation's prompt cache; empty without one."""
    name = build_key(workspace_id, body) if may_be_cached(body) else None
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


def _find_beginning(body: Json) -> Any:
    """Return what identifies a conversation: its first instruction and its first other message."""
    messages = _list_messages(body)
    identity = [each for each in messages if each.get("role") in ("system", "developer")][:1]
    first = [each for each in messages if each.get("role") not in ("system", "developer")][:1]
    return [*identity, *first] if first else None


def _list_messages(body: Json) -> list[Json]:
    messages = body.get("messages")
    return (
        [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    )
