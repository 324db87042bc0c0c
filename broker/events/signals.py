"""Signals between processes through Redis: live workers and cancelled jobs.

A lost signal does no harm: leases show a lost worker, and the next heartbeat reads a cancellation
from the database.
"""

import socket
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

from broker.ids import new_id

CANCELLATION_CHANNEL = "waybill:called-off"
_WORKERS = "waybill:workers"
_ENDED = "waybill:ended"  # jobs since the installation began, for metrics
SILENCE_SECONDS = 30


async def cancel_job(redis: Redis, job_id: str, *, waits: bool) -> None:
    """Publish to all workers that the caller of this job cancelled it.

    `waits`: its provider may still state the usage, see `workers.attempt.cost`.
    """
    await redis.publish(CANCELLATION_CHANNEL, job_id if waits else f"{job_id} now")


def read_cancellation(message: bytes) -> tuple[str, bool]:
    """Return the job of a cancellation, and whether its usage may be waited for."""
    job_id, _, urgency = message.decode().partition(" ")
    return job_id, not urgency


async def report_alive(redis: Redis, worker_id: str, now: float) -> None:
    """Record that a worker takes jobs."""
    await redis.zadd(_WORKERS, {worker_id: now})
    await redis.zremrangebyscore(_WORKERS, 0, now - 10 * SILENCE_SECONDS)


async def report_gone(redis: Redis, worker_id: str) -> None:
    """Record that a worker takes no more jobs."""
    await redis.zrem(_WORKERS, worker_id)


async def count_alive(redis: Redis, now: float) -> int:
    """Return the number of workers that reported within SILENCE_SECONDS."""
    return int(await redis.zcount(_WORKERS, now - SILENCE_SECONDS, "+inf"))


async def list_alive(redis: Redis, now: float) -> list[str]:
    """Return the ids of the workers that have reported in the last SILENCE_SECONDS."""
    client: Any = redis  # its annotations mix the sync and async clients
    found = await client.zrangebyscore(_WORKERS, now - SILENCE_SECONDS, "+inf")
    return [name.decode() for name in found]


def new_worker_id() -> str:
    """Return a new id for a worker on this host."""
    return f"{_host_prefix()}{new_id('')}"


def is_of_this_host(worker_id: str) -> bool:
    """Return True for an id that `new_worker_id` made on this host."""
    return worker_id.startswith(_host_prefix())


def _host_prefix() -> str:
    return f"{socket.gethostname()}:"


async def count_ended(redis: Redis, ends: Iterable[tuple[str, str, str, int]]) -> None:
    """Count jobs that ended: (provider, lane, state, jobs)."""
    pipeline = redis.pipeline(transaction=False)
    for *kind, jobs in ends:
        pipeline.hincrby(_ENDED, " ".join(kind), jobs)
    await pipeline.execute()


async def read_ended(redis: Redis) -> list[tuple[str, str, str, int]]:
    """Return how many jobs have ended: (provider, lane, state, jobs)."""
    client: Any = redis  # its annotations mix the sync and async clients
    found = await client.hgetall(_ENDED)
    return [(*kind.decode().split(" "), int(jobs)) for kind, jobs in sorted(found.items())]
