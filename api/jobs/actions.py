"""Look up, cancel and retry jobs on behalf of a caller."""

import contextlib

from redis.exceptions import RedisError

from api.core.services import Services
from broker.accounts import Principal, Scope
from broker.clock import now_ms
from broker.enums import JobState
from broker.errors import ConflictError, NotFoundError
from broker.events import signals
from broker.jobs import reports
from broker.lifecycle import Cancellation, cancel_many, reopen


async def find_job(services: Services, principal: Principal, job_id: str) -> reports.JobReport:
    """Return a job that the caller sees. Raises NotFoundError."""
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    if found is None or not principal.sees(found.job.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no job {job_id}.")
    return found


async def check_visible(services: Services, principal: Principal, job_id: str) -> None:
    """Raise NotFoundError where the caller sees its own jobs only, and this is another's."""
    if principal.owner_filter(Scope.JOBS) is not None:
        await find_job(services, principal, job_id)


async def cancel(
    services: Services, principal: Principal, job_id: str, *, waits: bool = True
) -> JobState:
    """Call a job off; return its state now, RUNNING when its worker has yet to stop.

    `waits`: its call may be read on for a while, for the usage that its provider will bill.
    """
    wish = Cancellation(job_id, principal.workspace_id, now_ms())
    state = await services.database.write_grouped(cancel_many, wish)
    if state is JobState.RUNNING:
        with contextlib.suppress(RedisError, OSError):  # its worker learns it by its next heartbeat
            await signals.cancel_job(services.redis, job_id, waits=waits)
    return state


async def retry(services: Services, principal: Principal, job_id: str) -> None:
    """Queue a job that waits for review again."""
    job = await services.database.write(reopen, job_id, principal.workspace_id, now_ms())
    services.publisher.publish(job.provider, job.lane, [job.job_id])


async def cancel_quietly(
    services: Services, principal: Principal, job_id: str, *, waits: bool
) -> None:
    """Call a job off on behalf of a caller who has gone."""
    with contextlib.suppress(ConflictError, NotFoundError):
        await cancel(services, principal, job_id, waits=waits)
