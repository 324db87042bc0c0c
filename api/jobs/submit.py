"""Turn a request into an accepted job: merge its preset, validate, prepare, write, publish.

A request that is refused now may have been accepted before. Then its idempotency key returns the
earlier job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from api.core.headers import read_header
from api.core.rate_limits import write_within_limits
from api.core.services import Services
from broker import presets, submission
from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, WaybillError
from broker.jobs import reports
from broker.queues import Lane
from broker.rate_limits import limits_of
from broker.requests.operations import Operation
from broker.routing import RoutingContext, cache_affinity
from broker.submission import JobOptions, NewJob, Submitted, admission, idempotency


async def prepare_job(
    request: Request,
    services: Services,
    principal: Principal,
    body: Json,
    options: JobOptions,
    *,
    inside: str | None = None,
) -> NewJob:
    """Prepare the job of a body; the preset of a chat body is merged into it.

    Returns the earlier job if the request is refused now and its idempotency key has one.
    """
    try:
        if options.operation is not Operation.CHAT:
            return admit_job(services, principal, body, options, inside=inside)
        merged = await with_preset(services, principal, body)
        if merged is not body:
            prompted = presets.is_prompted(body, merged)
            slug = presets.find_slug(body)
            options = replace(options, asked=body, preset=slug, preset_prompt=prompted)
        affinity = await find_affinity(request, services, principal, merged)
        return admit_job(services, principal, merged, options, inside=inside, affinity=affinity)
    except WaybillError as refusal:
        return await find_earlier(services, principal, body, options, refusal)


def admit_job(
    services: Services,
    principal: Principal,
    body: Json,
    options: JobOptions,
    *,
    inside: str | None = None,
    affinity: Mapping[str, str] | None = None,
) -> NewJob:
    """Validate a body and prepare its job. `inside` is the field that contains it, if one does."""
    if options.deadline is not None and options.deadline <= now_ms():
        raise InvalidRequestError(
            "deadline: this moment is over; times are Unix seconds.", param="deadline"
        )
    job = admission.admit(
        body,
        options,
        services.credentials.with_credentials(principal),
        services.catalog,
        services.settings,
        inside=inside,
        context=RoutingContext(services.observer.snapshot, affinity or {}),
    )
    limits = limits_of(principal, job.row, services.settings, is_free=job.is_free)
    return replace(job, limits=limits) if limits else job


async def find_affinity(
    request: Request, services: Services, principal: Principal, body: Json
) -> Mapping[str, str]:
    """Copy the session of a header to a chat body; return the endpoint with its prompt cache."""
    session = read_header(request, "x-session-id")
    if session and body.get("session_id") is None:
        body["session_id"] = session
    return await cache_affinity.find(services.redis, principal.workspace_id, body)


async def submit(services: Services, job: NewJob) -> Submitted:
    """Write the job, then publish it. The job is stored when this returns."""
    [submitted] = await write_within_limits(services, [job], lambda: _write(services, job))
    if not submitted.replayed and submitted.follows is None and is_due(job):
        services.publisher.publish(job.provider, job.row["lane"], [job.id])
    return submitted


async def _write(services: Services, job: NewJob) -> Sequence[Submitted]:
    """Write the job. A repeated write after a lost answer finds the job stored."""
    try:
        return [await services.database.write_grouped(submission.submit_many, job)]
    except IntegrityError:
        workspace_id = job.row["workspace_id"]
        if await services.database.read(reports.job, workspace_id, job.id) is None:
            raise
        return [Submitted(job.id, replayed=False)]


def is_due(job: NewJob) -> bool:
    """Return whether a job is published at once; the dispatcher publishes the others."""
    row = job.row
    return bool(row["lane"] == Lane.INTERACTIVE.value and row["available_at"] <= row["created_at"])


async def with_preset(services: Services, principal: Principal, body: Json) -> Json:
    """Return the body with its preset merged into it. Raises NotFoundError.

    A body without a preset needs no read of the database.
    """
    slug = presets.find_slug(body)
    if slug is None:
        return body
    content = await services.database.read(presets.get_content, principal.workspace_id, slug)
    return presets.merge(body, content)


async def find_earlier(
    services: Services, principal: Principal, body: Json, options: JobOptions, refusal: WaybillError
) -> NewJob:
    """Return the job of an earlier identical request. Raises `refusal` if there is none.

    An accepted job stays accepted when its model is removed, its preset deleted or its key
    restricted.
    """
    if options.idempotency_key is None:
        raise refusal
    row = await services.database.read(
        idempotency.find_by_key, principal.workspace_id, options.idempotency_key
    )
    if row is None or row["fingerprint"] != _fingerprint(
        options.caller_body or body, options, principal
    ):
        raise refusal
    return submission.prepare_repeat(row, principal, refusal)


def _fingerprint(body: Json, options: JobOptions, principal: Principal) -> str | None:
    try:
        return submission.compute_fingerprint(body, options, principal)
    except orjson.JSONEncodeError:  # nested too deeply: it cannot have been accepted
        return None
