"""HTTP responses for a job: its answer, its error, or the path to fetch it."""

import asyncio
import math

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.core import media
from api.core.errors import json_response, render_error
from api.core.request import Preference
from api.core.services import Services
from api.jobs import delete_after_delivery
from api.jobs.actions import find_job
from api.jobs.call_timeout import POLL_SECONDS, timeout_end
from api.jobs.styles import AnswerRenderer
from api.jobs.views import WITH_MEDIA, render_job
from broker.accounts import Principal
from broker.clock import seconds
from broker.completion import Json
from broker.enums import JobState
from broker.events.job_events import Event
from broker.ids import generation_id
from broker.jobs import reports
from broker.jobs.error_envelope import describe_job_failure
from broker.jobs.views import job_urls
from broker.submission import Submitted


def job_headers(job_id: str, queued_ms: int | None = None) -> dict[str, str]:
    """Return the headers with the ids of the job and the milliseconds that it waited, if known."""
    headers = {"X-Job-Id": job_id, "X-Generation-Id": generation_id(job_id)}
    return headers if queued_ms is None else headers | {"X-Queue-Ms": str(queued_ms)}


def mark_replay(response: Response, submitted: Submitted) -> Response:
    """Add the header `Idempotent-Replayed` (Stripe's) to the answer of an earlier job."""
    if submitted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


async def accepted_response(
    services: Services, principal: Principal, job_id: str, preference: Preference
) -> Response:
    """Return 202 with the job as it is now, and the path to fetch it."""
    found = await find_job(services, principal, job_id)
    headers = job_headers(job_id) | {
        "Location": job_urls(job_id)["self"],
        "Retry-After": str(POLL_SECONDS),
        "Vary": "Prefer",
    }
    if preference.applied:
        headers["Preference-Applied"] = preference.applied
    return json_response(await render_job(services, found), 202, headers)


async def end_response(
    request: Request,
    services: Services,
    principal: Principal,
    job_id: str,
    end: Event,
    renderer: AnswerRenderer | None = None,
) -> Response:
    """Return the answer or the error of a job; `end` is its last event."""
    outcome: Json = orjson.loads(end.data)
    if outcome["status"] != JobState.COMPLETED:
        return failed_response(request, job_id, outcome)
    headers = job_headers(job_id, outcome.get("queued_ms"))
    body = outcome.get("response")
    if body is None:  # the last event of a streamed job does not repeat the answer
        return await stored_response(services, principal, job_id, renderer)
    if renderer is not None:
        attempt, completed = outcome.get("attempt", 0), outcome.get("completed_at")
        shown = renderer.render(job_id, body, attempt, completed)
        return json_response(shown, 200, {**headers, **renderer.headers})
    if media.has_media(body):
        return await asyncio.to_thread(media.media_response, services, body, headers)
    return json_response(body, 200, headers)


async def stored_response(
    services: Services, principal: Principal, job_id: str, renderer: AnswerRenderer | None = None
) -> Response:
    """Return the answer of a completed job."""
    found = await find_job(services, principal, job_id)
    answer = found.payload.response
    if answer is None:
        raise delete_after_delivery.gone_error(job_id)
    headers = job_headers(job_id)
    if renderer is not None:
        attempt, completed = reports.find_answering_attempt(found), seconds(found.job.ended_at)
        body = renderer.render(job_id, orjson.loads(answer), attempt, completed)
        return json_response(body, 200, {**headers, **renderer.headers})
    if found.job.operation in WITH_MEDIA:
        body = orjson.loads(answer)
        return await asyncio.to_thread(media.media_response, services, body, headers)
    return json_response(orjson.Fragment(answer), 200, headers)


def failed_response(request: Request, job_id: str, outcome: Json) -> Response:
    """Return the error of a job, in the shape of the route; `outcome` is its last event's data."""
    status, message, metadata = describe_job_failure(outcome)
    headers = job_headers(job_id)
    retry_after = (outcome.get("error") or {}).get("retry_after")
    if retry_after is not None:
        headers["Retry-After"] = str(max(math.ceil(retry_after), 1))
    metadata = metadata | {"job_id": job_id}
    return render_error(request, status, message, metadata, headers=headers)


async def timeout_response(
    request: Request, services: Services, principal: Principal, job_id: str, seconds: float
) -> Response:
    """Return 504 for a call that waited `seconds`, the longest wait of this installation."""
    outcome = await timeout_end(services, principal, job_id, seconds)
    response = failed_response(request, job_id, outcome)
    response.headers["Location"] = job_urls(job_id)["self"]
    return response
