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
    """Raise NotFoundError if the caller sees its own jobs only, and this is not one of them."""
    if principal.owner_filter(Scope.JOBS) is not None:
        await find_job(services, principal, job_id)


async def cancel(
    services: Services, principal: Principal, job_id: str, *, waits: bool = True
) -> JobState:
    """Cancel a job; return its state, which is RUNNING until its worker stops.

    With `waits` the worker reads the call on for a while, to receive the provider's usage.
    """
    cancellation = Cancellation(job_id, principal.workspace_id, now_ms())
    state = await services.database.write_grouped(cancel_many, cancellation)
    if state is JobState.RUNNING:
        with contextlib.suppress(RedisError, OSError):  # its worker reads it at the next heartbeat
            await signals.cancel_job(services.redis, job_id, waits=waits)
    return state


async def retry(services: Services, principal: Principal, job_id: str) -> None:
    """Queue a job in the state `needs_review` again."""
    job = await services.database.write(reopen, job_id, principal.workspace_id, now_ms())
    services.publisher.publish(job.provider, job.lane, [job.job_id])


async def cancel_quietly(
    services: Services, principal: Principal, job_id: str, *, waits: bool
) -> None:
    """Cancel a job whose caller has disconnected, if it has not ended."""
    with contextlib.suppress(ConflictError, NotFoundError):
        await cancel(services, principal, job_id, waits=waits)
