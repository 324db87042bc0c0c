"""Keep each worker's unacknowledged messages on Redis apart, and drop those of dead workers.

Kombu's Redis transport writes every message that a worker has taken and not acknowledged to one
hash for all workers, and puts it back after hours. With keys of its own for each worker, what a
killed worker leaves behind is known, and dropped within a minute. Nothing is lost by that: messages
are hints, and the dispatcher publishes the jobs again.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from redis import Redis

from broker.ids import new_id

SEEN_KEY = "waybill:consumers"
"""A sorted set: each consumer with the Unix time in seconds at which it last reported."""

SILENCE_SECONDS = 30.0
SWEEP_SECONDS = 10.0


class _Kombu(Protocol):
    """The part of a Kombu channel that is used here."""

    def conn_or_acquire(self) -> AbstractContextManager[Redis]:
        """Return a client that nobody else is using."""


def new_consumer_id() -> str:
    return new_id("con_")


def transport_options(consumer_id: str) -> dict[str, str]:
    """Return Kombu's options that give a consumer keys of its own."""
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    return dict(zip(names, keys_of(consumer_id), strict=True))


def keys_of(consumer_id: str) -> tuple[str, str, str]:
    """Return the keys in Redis of a consumer's unacknowledged messages."""
    base = f"unacked:{consumer_id}"
    return base, f"{base}:index", f"{base}:mutex"


def report_and_sweep(channel: _Kombu, consumer_id: str, now: float) -> list[str]:
    """Report a consumer as alive; drop the messages of silent ones, whose ids are returned.

    `now` is Unix time in seconds. The channel's own client is not used: it waits for messages, and
    an answer to another command would be taken for one.
    """
    with channel.conn_or_acquire() as redis:
        redis.zadd(SEEN_KEY, {consumer_id: now})
        found = redis.zrangebyscore(SEEN_KEY, "-inf", now - SILENCE_SECONDS)
        silent = [each.decode() if isinstance(each, bytes) else str(each) for each in found]
        for each in silent:
            redis.delete(*keys_of(each))
            redis.zrem(SEEN_KEY, each)
    return silent
