"""Requests that are limited: counted before they are written, uncounted where nothing came of them.

A replay by its idempotency key is the request it repeats: it is not counted again, and passes even
where the limit is reached.
"""

from collections.abc import Awaitable, Callable

from api.services import Services
from broker import idempotency, limits
from broker.clock import now_ms
from broker.submission import NewJob, Submitted


async def within_limits(
    services: Services, job: NewJob, write: Callable[[], Awaitable[Submitted]]
) -> Submitted:
    """Write a job that has limits. Raises RateLimitedError where one is reached."""
    now = now_ms()
    refusal = await services.limiter.take(job.limits, job.id, now)
    if refusal is not None and not await _is_replay(services, job):
        raise limits.error_of(refusal, now)
    came_to_something = False
    try:
        submitted = await write()
        came_to_something = not submitted.replayed
    finally:
        if refusal is None and not came_to_something:
            await services.limiter.give_back(job.limits, job.id, now)
    return submitted


async def _is_replay(services: Services, job: NewJob) -> bool:
    """Whether the job's idempotency key is known: then nothing new will be made."""
    if job.row["idempotency_key"] is None:
        return False
    return await services.database.read(idempotency.is_known, job.row)
