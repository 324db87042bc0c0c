"""Turn a request into an accepted job: merge its preset, validate, prepare, write, publish.

A request that is refused now may have been accepted before: its idempotency key still brings
that job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from api.core.headers import header
from api.core.rate_limits import within_limits
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
from broker.submission import JobOptions, NewJob, Submitted, admission, insertion


async def prepare_job(
    request: Request,
    services: Services,
    principal: Principal,
    body: Json,
    wish: JobOptions,
    *,
    inside: str | None = None,
) -> NewJob:
    """Prepare the job of a body as it came; a preset that a chat body names is merged into it.

    What is refused is the earlier job, where its idempotency key brought one.
    """
    try:
        if wish.operation is not Operation.CHAT:
            return admit_job(services, principal, body, wish, inside=inside)
        merged = await with_preset(services, principal, body)
        if merged is not body:
            prompted = presets.is_prompted(body, merged)
            wish = replace(wish, asked=body, preset_prompt=prompted)
        affinity = await find_affinity(request, services, principal, merged)
        return admit_job(services, principal, merged, wish, inside=inside, affinity=affinity)
    except WaybillError as refusal:
        return await find_earlier(services, principal, body, wish, refusal)


def admit_job(
    services: Services,
    principal: Principal,
    body: Json,
    wish: JobOptions,
    *,
    inside: str | None = None,
    affinity: Mapping[str, str] | None = None,
) -> NewJob:
    """Validate a body (found `inside` another body, perhaps) and prepare its job."""
    if wish.deadline is not None and wish.deadline <= now_ms():
        raise InvalidRequestError(
            "deadline: this moment is over; times are Unix seconds.", param="deadline"
        )
    job = admission.admit(
        body,
        wish,
        services.credentials.with_credentials(principal),
        services.catalog,
        services.settings,
        inside=inside,
        now=RoutingContext(services.observer.snapshot, affinity or {}),
    )
    asked = limits_of(principal, job.row, services.settings, is_free=job.is_free)
    return replace(job, limits=asked) if asked else job


async def find_affinity(
    request: Request, services: Services, principal: Principal, body: Json
) -> Mapping[str, str]:
    """Give a chat body the session that a header names; return which endpoint remembers it."""
    session = header(request, "x-session-id")
    if session and body.get("session_id") is None:
        body["session_id"] = session
    return await cache_affinity.find(services.redis, principal.workspace_id, body)


async def submit(services: Services, job: NewJob) -> Submitted:
    """Write the job, then tell its queue. Once this returns the job is safe."""
    [submitted] = await within_limits(services, [job], lambda: _write(services, job))
    if not submitted.replayed and submitted.follows is None and is_due(job):
        services.publisher.publish(job.provider, job.row["lane"], [job.id])
    return submitted


async def _write(services: Services, job: NewJob) -> Sequence[Submitted]:
    """Write the job; where a commit's answer was lost and it was written again, it is there."""
    try:
        return [await services.database.write_grouped(submission.submit_many, job)]
    except IntegrityError:
        workspace_id = job.row["workspace_id"]
        if await services.database.read(reports.job, workspace_id, job.id) is None:
            raise
        return [Submitted(job.id, replayed=False)]


def is_due(job: NewJob) -> bool:
    """Tell jobs that are published at once from those that wait for the dispatcher."""
    row = job.row
    return bool(row["lane"] == Lane.INTERACTIVE.value and row["available_at"] <= row["created_at"])


async def with_preset(services: Services, principal: Principal, body: Json) -> Json:
    """Return the body with its preset's settings. Raises NotFoundError for a preset there is not.

    Only a body that names one costs a question to the database.
    """
    slug = presets.find_slug(body)
    if slug is None:
        return body
    content = await services.database.read(presets.get_content, principal.workspace_id, slug)
    return presets.merge(body, content)


async def find_earlier(
    services: Services, principal: Principal, body: Json, wish: JobOptions, refusal: WaybillError
) -> NewJob:
    """Return the job that this request brought when it came first. Raises `refusal` if it did not.

    Models leave the configuration, presets are deleted, keys are restricted: none of it takes
    back what was accepted.
    """
    if wish.idempotency_key is None:
        raise refusal
    row = await services.database.read(insertion.find, principal.workspace_id, wish.idempotency_key)
    if row is None or row["fingerprint"] != _fingerprint(body, wish, principal):
        raise refusal
    return submission.repeat(row, principal, refusal)


def _fingerprint(body: Json, wish: JobOptions, principal: Principal) -> str | None:
    try:
        return submission.fingerprint(body, wish, principal)
    except orjson.JSONEncodeError:  # nested too deeply: it was never accepted
        return None
