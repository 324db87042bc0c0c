"""Bound the time that one call waits for its job.

The job goes on. The error says what it waits for, and when to fetch its result.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from api.core.job_subscriptions import Listener
from api.core.services import Services
from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import ErrorType, Json
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import Event
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.jobs.views import job_urls
from broker.providers.pacing import Cause

POLL_SECONDS = 1
WAIT_TEXTS: Mapping[Cause, str] = {
    Cause.CONCURRENCY: "a free slot of {provider}",
    Cause.RATE_LIMIT: "the minute of {provider}, whose configured limit is used up",
    Cause.PROVIDER_PAUSE: "{provider}, which limits the calls of {model}",
    Cause.INTERACTIVE_FIRST: "{provider}, where interactive jobs go first",
    Cause.PAUSED: "{provider}, which an operator has paused",
    Cause.NOT_CONFIGURED: "{provider}, which is not configured",
}


async def timeout_end(
    services: Services, principal: Principal, job_id: str, seconds: float
) -> Json:
    """Return the data of a last event for a caller whose wait is over: the error of a timeout."""
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    reason, wait = ("", POLL_SECONDS) if found is None else _describe_wait(found)
    where = job_urls(job_id)["self"]
    message = (
        f"The job has not ended within {seconds:g} s.{reason} It goes on: GET {where} for its "
        "result, or submit with `Prefer: respond-async` next time."
    )
    error = {"error_type": ErrorType.STILL_RUNNING.value, "message": message, "retry_after": wait}
    return {"status": JobState.FAILED.value, "error": error}


def _describe_wait(found: JobReport) -> tuple[str, int]:
    """Return in words for what a job waits, and the least seconds of the wait."""
    job = found.job
    if job.waiting_for:
        values: dict[str, Any] = {"model": "this model", **orjson.loads(job.waiting_for)}
        target = WAIT_TEXTS[Cause(values["reason"])].format_map(values)
        return f" It waits for {target}.", _seconds_until(values["until"])
    if job.state != JobState.QUEUED.value or not found.attempts:
        return "", POLL_SECONDS
    last, wait = found.attempts[-1], _seconds_until(job.available_at)
    reason = (
        f"{last.provider} answered {last.error_type}" if last.error_type else "it was interrupted"
    )
    return f" Its next attempt is due in {wait} s: {reason}.", wait


def _seconds_until(moment: int) -> int:
    return max(math.ceil((moment - now_ms()) / 1000), POLL_SECONDS)


async def bound_wait(
    services: Services,
    principal: Principal,
    job_id: str,
    source: AsyncGenerator[list[Event]],
) -> AsyncGenerator[list[Event]]:
    """Yield a stream's events; end it if the job does not run at the end of the longest wait.

    A job that runs, or whose answer has begun, is waited for without a limit.
    """
    seconds = services.settings.sync_timeout_seconds
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    is_served = False
    async with contextlib.aclosing(source):
        while True:
            try:
                async with asyncio.timeout_at(None if is_served else deadline):
                    events = await anext(source, None)
            except TimeoutError:
                end = await timeout_end(services, principal, job_id, seconds)
                yield [Event(0, JobState.FAILED.value, orjson.dumps(end))]
                return
            if events is None:
                return
            for event in events:
                if event.type == job_events.RETRYING:
                    is_served = False
                elif event.type in (job_events.STARTED, job_events.CHUNK):
                    is_served = True
            yield events


async def wait_for_end(
    services: Services, principal: Principal, listener: Listener, *, seconds: float, fresh: bool
) -> Event | None:
    """Return the job's last event, or None when it has not ended in time."""
    try:
        async with asyncio.timeout(seconds):
            return await services.subscriptions.end(listener, principal.workspace_id, fresh=fresh)
    except TimeoutError:
        return None
