"""Requests that are limited: counted before they are written, uncounted where nothing came of them.

A replay by its idempotency key is the request it repeats: it is not counted again, and passes even
where the limit is reached.
"""

from collections.abc import Awaitable, Callable, Sequence

from api.core.services import Services
from broker import idempotency, limits
from broker.clock import now_ms
from broker.submission import NewJob, Submitted


async def within_limits(
    services: Services,
    jobs: Sequence[NewJob],
    write: Callable[[], Awaitable[Sequence[Submitted]]],
) -> Sequence[Submitted]:
    """Write jobs, all or none of them. Raises RateLimitedError where a limit is reached."""
    limited = [job for job in jobs if job.limits]
    if not limited:
        return await write()
    now = now_ms()
    counted: list[NewJob] = []
    made: set[str] = set()
    try:
        for job in limited:
            refusal = await services.limiter.take(job.limits, job.id, now)
            if refusal is None:
                counted.append(job)
            elif not await _is_replay(services, job):
                raise limits.error_of(refusal, now, at_once=len(limited))
        submitted = await write()
        made = {each.job_id for each in submitted if not each.replayed}
    finally:
        for job in counted:
            if job.id not in made:
                await services.limiter.give_back(job.limits, job.id, now)
    return submitted


async def _is_replay(services: Services, job: NewJob) -> bool:
    """Whether the job's idempotency key is known: then nothing new will be made."""
    if job.row["idempotency_key"] is None:
        return False
    return await services.database.read(idempotency.is_known, job.row)
