"""Responses in the background: accepted, and fetched or followed by their ids."""

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from api.core import request as reading
from api.core.errors import json_response
from api.core.services import Services
from api.jobs import delete_after_delivery, responses, submit
from api.jobs.streaming import event_response
from api.jobs.styles import DialectCall
from api.responses.stored import find_response, find_superseded, read_dialect_job, render_response
from api.responses.style import ResponseEvents
from api.webhooks.urls import take_webhook
from broker.accounts import Principal
from broker.completion import Json
from broker.enums import Store
from broker.errors import InvalidRequestError
from broker.jobs.reports import JobReport
from broker.submission import NewJob

NO_HEADERS: Mapping[str, str] = {}


async def accept_response(
    request: Request, services: Services, principal: Principal, call: DialectCall
) -> Response:
    """Submit the job of a response; return the response as it is now, or its events."""
    body: Json = call.translated.body
    webhook = take_webhook(body, services.settings.allowed_networks)
    options = replace(reading.read_job_options(request), webhook=webhook)
    job = await submit.prepare_job(request, services, principal, body, call.change_options(options))
    _refuse_unkept(job)
    is_streamed = job.row["stream"]
    if is_streamed:
        services.open_streams.take(request, principal)
    submitted = await submit.submit(services, job)
    report = await find_response(services, principal, submitted.job_id)
    headers = call.bind(job).headers
    if is_streamed:
        response = await follow_response(services, principal, report, headers=headers)
    else:
        headers = {**responses.job_headers(submitted.job_id), **headers}
        response = json_response(render_response(report), 200, headers)
    return responses.mark_replay(response, submitted)


def _refuse_unkept(job: NewJob) -> None:
    """Raise InvalidRequestError for a job whose answer is not kept for a later request."""
    if job.row["store"] == Store.NONE:
        raise InvalidRequestError(
            "background: nothing of this response would be stored (X-Store, or the setting of the "
            "workspace), so nobody could fetch it. Leave out `background`, or store the result.",
            param="background",
        )


async def follow_response(
    services: Services,
    principal: Principal,
    report: JobReport,
    *,
    after: int = -1,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Response:
    """Return the events of a response with numbers above `after`, live to their end."""
    job = read_dialect_job(report)
    superseded = await find_superseded(services, report)
    source = services.subscriptions.follow_job(job.id, principal.workspace_id)
    source = delete_after_delivery.mark_after_stream(services, job.id, report.job.store, source)
    return event_response(
        source,
        ResponseEvents(job, after=after, superseded=superseded),
        keep_alive=services.settings.keep_alive_seconds,
        headers=headers,
    )
