"""How a job's end, or the lack of one, becomes an HTTP answer."""

import asyncio
import contextlib
import math
from typing import Any

import orjson
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from api import forgetting, media, views, webhook_views
from api.errors import json_response
from api.lateness import POLL_SECONDS, late_end
from api.reading import Preference
from api.services import Services
from api.waiting import Listener
from broker import reports, signals, webhooks
from broker.accounts import Principal, Scope
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import ConflictError, NotFoundError
from broker.events import Event
from broker.ids import generation_id
from broker.lifecycle import Cancellation, Reopening, cancel_many, reopen_many
from broker.operations import Operation
from broker.refusals import envelope, failure
from broker.states import AT_REST, JobState
from broker.submission import Submitted

MAX_DELIVERIES = 100  # that a job shows; /webhooks/deliveries has all
WITH_MEDIA = frozenset({Operation.IMAGES.value, Operation.SPEECH.value})


def job_headers(job_id: str, queued_ms: int | None = None) -> dict[str, str]:
    """Return what names the job, and how long it waited for its provider where that is known."""
    headers = {"X-Job-Id": job_id, "X-Generation-Id": generation_id(job_id)}
    return headers if queued_ms is None else headers | {"X-Queue-Ms": str(queued_ms)}


def telling_replay(response: Response, submitted: Submitted) -> Response:
    """Say so where an idempotency key brought an earlier job's answer (Stripe's header for it)."""
    if submitted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


async def report(services: Services, principal: Principal, job_id: str) -> reports.JobReport:
    """Return a job that the caller sees. Raises NotFoundError."""
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    if found is None or not principal.sees(found.job.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no job {job_id}.")
    return found


async def check_own(services: Services, principal: Principal, job_id: str) -> None:
    """Raise NotFoundError where the caller sees its own jobs only, and this is another's."""
    if principal.owner_filter(Scope.JOBS) is not None:
        await report(services, principal, job_id)


async def shown(services: Services, found: reports.JobReport) -> Json:
    """Return a job as its owner sees it, with links to what its answer refers to."""
    body = views.job(found) | await _notices(services, found.job)
    if found.job.operation in WITH_MEDIA and found.payload.response is not None:
        answer: Json = orjson.loads(found.payload.response)
        body["response"] = await asyncio.to_thread(media.with_media, services, answer)
    return body


async def _notices(services: Services, job: Any) -> Json:
    """Return a job's own webhook and, once it has ended, its deliveries to anybody."""
    told: Json = {} if job.webhook is None else {"webhook": orjson.Fragment(job.webhook)}
    if job.state in AT_REST:
        rows = await services.database.read(
            *(webhooks.list_deliveries, job.workspace_id, MAX_DELIVERIES, None),
            webhooks.Wanted(subject_id=job.id),
        )
        told["deliveries"] = [webhook_views.of_job(row) for row in reversed(rows)]
    return told


async def accepted(
    services: Services, principal: Principal, job_id: str, preference: Preference
) -> Response:
    """Return 202 with the job as it stands, and where to come back for it."""
    found = await report(services, principal, job_id)
    headers = job_headers(job_id) | {
        "Location": views.job_urls(job_id)["self"],
        "Retry-After": str(POLL_SECONDS),
        "Vary": "Prefer",
    }
    if preference.applied:
        headers["Preference-Applied"] = preference.applied
    return json_response(await shown(services, found), 202, headers)


async def answer(services: Services, principal: Principal, job_id: str, end: Event) -> Response:
    """Return the completion, or the error, that a job ended with."""
    told: Json = orjson.loads(end.data)
    if told["status"] != JobState.COMPLETED:
        return failed(job_id, told)
    headers = job_headers(job_id, told.get("queued_ms"))
    body = told.get("response")
    if body is None:  # a streamed job's end does not repeat the answer
        return await stored(services, principal, job_id)
    if media.has_media(body):
        return await asyncio.to_thread(media.response, services, body, headers)
    return json_response(body, 200, headers)


async def stored(services: Services, principal: Principal, job_id: str) -> Response:
    """Return the answer of a completed job."""
    found = await report(services, principal, job_id)
    if found.payload.response is None:
        raise forgetting.gone(job_id)
    return json_response(orjson.Fragment(found.payload.response), 200, job_headers(job_id))


def failed(job_id: str, told: Json) -> Response:
    """Return the error a job ended with, as OpenRouter's envelope."""
    status, message, metadata = failure(told)
    headers = job_headers(job_id)
    retry_after = (told.get("error") or {}).get("retry_after")
    if retry_after is not None:
        headers["Retry-After"] = str(max(math.ceil(retry_after), 1))
    return json_response(envelope(status, message, metadata | {"job_id": job_id}), status, headers)


async def wait(
    services: Services, principal: Principal, listener: Listener, *, seconds: float, fresh: bool
) -> Event | None:
    """Return the job's last event, or None when it has not ended in time."""
    try:
        async with asyncio.timeout(seconds):
            return await services.news.end(listener, principal.workspace_id, fresh=fresh)
    except TimeoutError:
        return None


async def still_running(
    services: Services, principal: Principal, job_id: str, seconds: float
) -> Response:
    """Return 504 for a plain call that took longer than this server lets one wait."""
    response = failed(job_id, await late_end(services, principal, job_id, seconds))
    response.headers["Location"] = views.job_urls(job_id)["self"]
    return response


async def cancel(
    services: Services, principal: Principal, job_id: str, *, waits: bool = True
) -> JobState:
    """Call a job off; return its state now, RUNNING when its worker has yet to stop.

    `waits`: its call may be read on for a while, for the usage that its provider will bill.
    """
    wish = Cancellation(job_id, principal.workspace_id, now_ms())
    state = await services.database.write(cancel_many, wish)
    if state is JobState.RUNNING:
        with contextlib.suppress(RedisError, OSError):  # its worker learns it by its next heartbeat
            await signals.call_off(services.redis, job_id, waits=waits)
    return state


async def retry(services: Services, principal: Principal, job_id: str) -> None:
    """Queue a job that waits for review again."""
    wish = Reopening(job_id, principal.workspace_id, now_ms())
    job = await services.database.write(reopen_many, wish)
    services.publisher.publish(job.provider, job.lane, [job.job_id])


async def cancel_quietly(
    services: Services, principal: Principal, job_id: str, *, waits: bool
) -> None:
    """Call a job off on behalf of a caller who has gone."""
    with contextlib.suppress(ConflictError, NotFoundError):
        await cancel(services, principal, job_id, waits=waits)


async def gone(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wants_cancel_on_disconnect(request: Request) -> bool:
    return _on_disconnect(request) in {"true", "now"}


def waits_for_usage(request: Request) -> bool:
    """Tell whether a call may be read on for its usage once its caller has hung up."""
    return _on_disconnect(request) != "now"


def _on_disconnect(request: Request) -> str:
    return request.headers.get("x-cancel-on-disconnect", "").lower()
