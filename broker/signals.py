"""Small words between processes, through Redis: workers that are alive, jobs that are called off.

All of them are hints with a slower truth behind: a worker that is not heard is found by its leases,
a cancellation that is not heard is read at the next heartbeat.
"""

from redis.asyncio import Redis

CALLED_OFF_CHANNEL = "waybill:called-off"
_WORKERS = "waybill:workers"
SILENCE_SECONDS = 30


async def call_off(redis: Redis, job_id: str) -> None:
    """Tell all workers that the caller of this job cancelled it."""
    await redis.publish(CALLED_OFF_CHANNEL, job_id)


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
