"""Delete answers that are stored only until they are fetched, soon after they were sent."""

import contextlib
from collections.abc import AsyncGenerator

from starlette.background import BackgroundTask
from starlette.responses import Response

from api.core.services import Services
from broker.accounts import Principal
from broker.clock import now_ms
from broker.enums import Store
from broker.errors import GoneError
from broker.events.job_events import Event, fence_key, stream_key
from broker.jobs.reports import JobReport
from broker.lifecycle import retention
from broker.lifecycle.retention import AnswerFetch


def mark_after_response(services: Services, found: JobReport, response: Response) -> Response:
    """Mark an ended job with `store: none` as fetched after this response was sent."""
    if found.job.store == Store.NONE.value and found.job.ended_at is not None:
        response.background = BackgroundTask(mark_fetched, services, found.job.id)
    return response


async def mark_after_stream(
    services: Services, job_id: str, store: str | None, source: AsyncGenerator[list[Event]]
) -> AsyncGenerator[list[Event]]:
    """Yield the events of a stream; mark a job with `store: none` as fetched after the last one."""
    if store != Store.NONE.value:
        async with contextlib.aclosing(source):
            async for events in source:
                yield events
        return
    ended = False
    try:
        async with contextlib.aclosing(source):
            async for events in source:
                ended = ended or events[-1].is_end
                yield events
    finally:
        if ended:
            await mark_fetched(services, job_id)


async def delete_content(services: Services, principal: Principal, job_id: str) -> None:
    """Delete the stored content of an ended job. Raises NotFoundError or ConflictError."""
    await services.database.write(retention.delete, job_id, principal.workspace_id, now_ms())
    await services.redis.delete(stream_key(job_id), fence_key(job_id))


async def mark_fetched(services: Services, job_id: str) -> None:
    """Let retention delete the job's content soon: it is unknown whether all of it arrived."""
    await services.database.write_grouped(retention.record_fetches, AnswerFetch(job_id, now_ms()))


def gone_error(job_id: str) -> GoneError:
    """Return the error for a job whose content was deleted."""
    return GoneError(
        f"The prompt and answer of {job_id} are no longer kept (`store`, retention): its usage and "
        "cost are.",
        metadata={"job_id": job_id, "reason": "forgotten"},
    )
