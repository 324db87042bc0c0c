"""Delete answers that are kept only until they are fetched, shortly after they were sent."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response

from api.core.services import Services
from broker.accounts import Principal
from broker.clock import now_ms
from broker.enums import Store
from broker.errors import GoneError
from broker.events.job_events import Event, fence_key, stream_key
from broker.lifecycle import retention
from broker.lifecycle.retention import Fetched


def after_response(services: Services, job: Any, response: Response) -> Response:
    """Note that the result of a job (its row) that keeps nothing was sent with this answer."""
    if job.store == Store.NONE.value and job.ended_at is not None:
        response.background = BackgroundTask(mark_fetched, services, job.id)
    return response


async def after_stream(
    services: Services, job_id: str, store: str | None, source: AsyncGenerator[list[Event]]
) -> AsyncGenerator[list[Event]]:
    """Give a stream's events on; note when its end was taken."""
    if store != Store.NONE.value:
        async with contextlib.aclosing(source):
            async for told in source:
                yield told
        return
    ended = False
    try:
        async with contextlib.aclosing(source):
            async for told in source:
                ended = ended or told[-1].is_end
                yield told
    finally:
        if ended:
            await mark_fetched(services, job_id)


async def delete(services: Services, principal: Principal, job_id: str) -> None:
    """Delete what is kept of an ended job. Raises NotFoundError or ConflictError."""
    await services.database.write(retention.delete, job_id, principal.workspace_id, now_ms())
    await services.redis.delete(stream_key(job_id), fence_key(job_id))


async def mark_fetched(services: Services, job_id: str) -> None:
    """Let the job go soon, if it keeps nothing: whether all of it arrived nobody knows."""
    await services.database.write_grouped(retention.fetched_many, Fetched(job_id, now_ms()))


def gone_error(job_id: str) -> GoneError:
    return GoneError(
        f"The prompt and answer of {job_id} are no longer kept (`store`, retention): its usage and "
        "cost are.",
        metadata={"job_id": job_id, "reason": "forgotten"},
    )
