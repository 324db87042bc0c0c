"""Small words between processes, through Redis: workers that are alive, jobs that are called off.

All of them are hints with a slower truth behind: a worker that is not heard is found by its leases,
a cancellation that is not heard is read at the next heartbeat.
"""

from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

CALLED_OFF_CHANNEL = "waybill:called-off"
_WORKERS = "waybill:workers"
_ENDED = "waybill:ended"  # jobs since the beginning, for counters that never fall
SILENCE_SECONDS = 30


async def cancel_job(redis: Redis, job_id: str, *, waits: bool) -> None:
    """Tell all workers that the caller of this job cancelled it.

    `waits`: its provider may still state the usage, see `workers.attempt.cost`.
    """
    await redis.publish(CALLED_OFF_CHANNEL, job_id if waits else f"{job_id} now")


def read_cancellation(message: bytes) -> tuple[str, bool]:
    """Return the job of such a message, and whether its usage may be waited for."""
    job_id, _, urgency = message.decode().partition(" ")
    return job_id, not urgency


async def report_alive(redis: Redis, worker_id: str, now: float) -> None:
    """Say that a worker takes jobs."""
    await redis.zadd(_WORKERS, {worker_id: now})
    await redis.zremrangebyscore(_WORKERS, 0, now - 10 * SILENCE_SECONDS)


async def report_gone(redis: Redis, worker_id: str) -> None:
    """Say that a worker takes no more jobs."""
    await redis.zrem(_WORKERS, worker_id)


async def alive_workers(redis: Redis, now: float) -> int:
    """Return how many workers were heard of lately."""
    return int(await redis.zcount(_WORKERS, now - SILENCE_SECONDS, "+inf"))


async def count_ended(redis: Redis, ends: Iterable[tuple[str, str, str, int]]) -> None:
    """Count jobs that ended: (provider, lane, state, jobs)."""
    pipeline = redis.pipeline(transaction=False)
    for *kind, jobs in ends:
        pipeline.hincrby(_ENDED, " ".join(kind), jobs)
    await pipeline.execute()


async def ended(redis: Redis) -> list[tuple[str, str, str, int]]:
    """Return how many jobs have ended: (provider, lane, state, jobs)."""
    client: Any = redis  # its annotations mix the sync and async clients
    found = await client.hgetall(_ENDED)
    return [(*kind.decode().split(" "), int(jobs)) for kind, jobs in sorted(found.items())]
