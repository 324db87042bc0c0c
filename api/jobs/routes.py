"""Routes of jobs: submit, list, show, cancel, retry and delete jobs, and follow their events."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import (
    APP_HEADERS,
    LAST_EVENT_ID,
    PREFER,
    Caller,
    ServicesDep,
    read_idempotency_key,
)
from api.core.errors import json_response
from api.core.headers import read_attribution
from api.core.request import ANY_METADATA, METADATA, JobCursor
from api.jobs import actions, call_timeout, delete_after_delivery, responses, submit, views
from api.jobs.response_schemas import CancelledJob, DeletedJob, Job, JobPage
from api.jobs.schemas import JOB_BODY, JobFilters, JobId, JobRequest
from api.jobs.streaming import log_response, resume_point
from api.webhooks.urls import own_webhook
from broker.accounts import Scope
from broker.completion import Json
from broker.enums import JobState
from broker.errors import InvalidRequestError
from broker.jobs import reports
from broker.jobs.searches import EVERY_JOB, JobSearch
from broker.money import nanos_from_usd
from broker.queues import Lane
from broker.requests.bodies import validated
from broker.submission import JobOptions
from broker.submission.admission import RECEIVER_FIELDS

router = APIRouter(route_class=Route, prefix="/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=202,
    response_model=Job,
    dependencies=[Depends(JOB_BODY), Depends(read_idempotency_key), *APP_HEADERS],
)
async def submit_job(request: Request, services: ServicesDep, principal: Caller) -> Response:
    """Submit a job: `{endpoint, body, …}`, or a chat body alone.

    The answer 202 has the job and the paths to fetch it.
    """
    body = await reading.read_json(request, services.settings.max_body_bytes)
    is_wrapped = "messages" not in body
    wanted = validated(JobRequest, body if is_wrapped else _wrap(body))
    webhook = own_webhook(wanted.webhook, wanted.callback_url, services.settings.allowed_networks)
    options = _job_options(wanted, reading.parse_idempotency_key(request), webhook)
    options = replace(options, **read_attribution(request))
    inside = "body" if is_wrapped else None
    job = await submit.prepare_job(
        request, services, principal, wanted.body, options, inside=inside
    )
    submitted = await submit.submit(services, job)
    preference = reading.Preference(respond_async=True)
    response = await responses.accepted_response(services, principal, submitted.job_id, preference)
    return responses.mark_replay(response, submitted)


def job_search(request: Request, filters: Annotated[JobFilters, Query()]) -> JobSearch:
    """Read the filters of a list of jobs."""
    pairs = [(METADATA.fullmatch(name), value) for name, value in request.query_params.items()]
    return JobSearch(
        state=filters.status,
        model=filters.model,
        provider=filters.provider,
        api_key_id=filters.api_key_id,
        app=filters.app,
        end_user=filters.user,
        session_id=filters.session_id,
        trace_id=filters.trace_id,
        metadata={match[1]: value for match, value in pairs if match},
    )


@router.get("", response_model=JobPage)
async def list_jobs(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=100, description="The most jobs of a page.")] = 20,
    after: Annotated[
        JobCursor | None, Query(description="The last id of the previous page.")
    ] = None,
    search: Annotated[JobSearch, Depends(job_search)] = EVERY_JOB,
    _: Annotated[  # read by `job_search`
        str | None,
        Query(alias=ANY_METADATA, description="The value that the job has under this name."),
    ] = None,
) -> Response:
    """List the workspace's jobs, newest first.

    `metadata[name]=value` selects the jobs with this pair; several pairs may be given.
    """
    search = replace(search, owner=principal.owner_filter(Scope.JOBS))
    rows = await services.database.read(
        reports.jobs, principal.workspace_id, limit + 1, after, search
    )
    page = rows[:limit]
    return json_response(
        {
            "object": "list",
            "data": [views.render_listed_job(row) for row in page],
            "first_id": page[0].job.id if page else None,
            "last_id": page[-1].job.id if page else None,
            "has_more": len(rows) > limit,
        }
    )


@router.get("/{job_id}", response_model=Job, dependencies=[PREFER])
async def get_job(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    job_id: JobId,
    answer: Annotated[
        bool,
        Query(
            description="Whether the response has the answer. With `false` a job with the policy "
            "`store: none` does not count as fetched, and its answer is kept."
        ),
    ] = True,
) -> Response:
    """Return a job: its state, answer or error, usage, attempts and plan.

    With `Prefer: wait=N` the response waits up to N seconds for the job to end.
    """
    found = await actions.find_job(services, principal, job_id)
    headers = responses.job_headers(job_id)
    wait = reading.read_preference(request).wait
    if wait is not None:
        wait = min(wait, services.settings.sync_timeout_seconds)
        headers |= {"Preference-Applied": f"wait={wait:g}", "Vary": "Prefer"}
        with services.subscriptions.listen(job_id) as listener:
            await call_timeout.wait_for_end(
                services, principal, listener, seconds=wait, fresh=False
            )
        found = await actions.find_job(services, principal, job_id)
    if not answer:
        found = replace(found, payload=found.payload._replace(response=None))
        return json_response(await views.render_job(services, found), 200, headers)
    response = json_response(await views.render_job(services, found), 200, headers)
    return delete_after_delivery.mark_after_response(services, found, response)


@router.delete("/{job_id}", response_model=DeletedJob)
async def delete_job(services: ServicesDep, principal: Caller, job_id: JobId) -> Response:
    """Delete the prompt, answer, events and files of a job that has ended.

    Its usage and cost stay on record, and `GET /jobs/{id}` shows them. A job that has not ended
    is refused with 409: cancel it first.
    """
    await actions.check_visible(services, principal, job_id)
    await delete_after_delivery.delete_content(services, principal, job_id)
    return json_response({"id": job_id, "object": "job", "deleted": True})


@router.post(
    "/{job_id}/cancel",
    response_model=CancelledJob,
    response_description="The job is cancelled.",
    responses={202: {"model": CancelledJob, "description": "The worker of the job stops it."}},
)
async def cancel_job(
    services: ServicesDep,
    principal: Caller,
    job_id: JobId,
    await_usage: Annotated[
        bool, Query(description="Whether the worker waits for the provider's usage.")
    ] = True,
) -> Response:
    """Cancel a job. A running job ends when its worker is notified.

    The provider charges what it has done. With `await_usage` the worker reads the call on for a
    while, to receive the provider's usage. With `await_usage=false` it closes the call at once, and
    the job costs its whole hold if the model may have reasoned without output.
    """
    await actions.check_visible(services, principal, job_id)
    state = await actions.cancel(services, principal, job_id, waits=await_usage)
    found = await actions.find_job(services, principal, job_id)
    shown = await views.render_job(services, found)
    if state is not JobState.RUNNING:
        return json_response(shown, 200, responses.job_headers(job_id))
    seconds = services.settings.cancel_drain_seconds if await_usage else 0
    cancellation = {"await_usage": await_usage, "seconds": seconds}
    return json_response(shown | {"cancellation": cancellation}, 202, responses.job_headers(job_id))


@router.post("/{job_id}/retry", status_code=202, response_model=Job)
async def retry_job(services: ServicesDep, principal: Caller, job_id: JobId) -> Response:
    """Run a job in the state `needs_review` again: it was sent, maybe charged, and not answered."""
    await actions.check_visible(services, principal, job_id)
    await actions.retry(services, principal, job_id)
    found = await actions.find_job(services, principal, job_id)
    return json_response(
        await views.render_job(services, found), 202, responses.job_headers(job_id)
    )


@router.get(
    "/{job_id}/events",
    dependencies=[LAST_EVENT_ID],
    responses={204: {"description": "The last event has been read already."}},
)
async def follow_job(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    job_id: JobId,
    after: Annotated[
        int | None, Query(ge=0, description="The number of the last event received.")
    ] = None,
) -> Response:
    """Follow a job's numbered events (SSE), from the start or from `Last-Event-ID` or `after`.

    A reader that has the last event gets 204, so that a browser's EventSource does not reconnect.
    """
    found = await actions.find_job(services, principal, job_id)
    last = resume_point(request, after)
    if await services.database.read(reports.is_read_to_end, found, last):
        return Response(status_code=204, headers=responses.job_headers(job_id))
    services.open_streams.take(request, principal)
    source = services.subscriptions.follow_job(job_id, principal.workspace_id, after=last)
    source = delete_after_delivery.mark_after_stream(services, job_id, found.job.store, source)
    return log_response(source, job_id, keep_alive=services.settings.keep_alive_seconds)


def _wrap(body: Json) -> Json:
    """Return the body of a job for a chat body; its webhook becomes the job's."""
    receiver: Json = {name: body.pop(name) for name in RECEIVER_FIELDS if name in body}
    return {"body": body, **receiver}


def _read_priority(wanted: JobRequest) -> tuple[Lane, int]:
    """Return lane and priority: `priority` may be either. Raises InvalidRequestError."""
    if not isinstance(wanted.priority, Lane):
        return wanted.lane or Lane.INTERACTIVE, wanted.priority
    if wanted.lane not in (None, wanted.priority):
        raise InvalidRequestError(
            f"lane is {wanted.lane} and priority is {wanted.priority}: name one lane.",
            param="priority",
        )
    return wanted.priority, 0


def _job_options(wanted: JobRequest, key: str | None, webhook: str | None) -> JobOptions:
    extra: Json = {"metadata": wanted.metadata} if wanted.metadata else {}
    lane, priority = _read_priority(wanted)
    return JobOptions(
        operation=wanted.endpoint,
        lane=lane,
        priority=priority,
        idempotency_key=key,
        not_before=reading.to_milliseconds(wanted.not_before, "not_before"),
        deadline=reading.to_milliseconds(wanted.deadline, "deadline"),
        max_attempts=wanted.max_attempts,
        max_cost_nanos=None if wanted.max_cost is None else nanos_from_usd(wanted.max_cost),
        on_unknown=wanted.on_unknown,
        webhook=webhook,
        coalesce=wanted.coalesce,
        store=wanted.store and wanted.store.value,
        extra=extra,
    )
