"""From a request to an accepted job: validate, prepare, write, publish."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from api import repeats
from api.core.services import Services
from api.headers import header
from api.limiting import within_limits
from api.presetting import with_preset
from broker import admission, presets, reports, submission, warmth
from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, WaybillError
from broker.limits import limits_of
from broker.operations import Operation
from broker.queues import Lane
from broker.routing import Circumstances
from broker.submission import NewJob, Submitted, Wish


async def prepared(
    request: Request,
    services: Services,
    principal: Principal,
    body: Json,
    wish: Wish,
    *,
    inside: str | None = None,
) -> NewJob:
    """Prepare the job of a body as it came; a preset that a chat body names is merged into it.

    What is refused is the earlier job, where its idempotency key brought one.
    """
    try:
        if wish.operation is not Operation.CHAT:
            return admitted(services, principal, body, wish, inside=inside)
        merged = await with_preset(services, principal, body)
        if merged is not body:
            prompted = presets.is_prompted(body, merged)
            wish = replace(wish, asked=body, preset_prompt=prompted)
        warm = await remembered(request, services, principal, merged)
        return admitted(services, principal, merged, wish, inside=inside, warm=warm)
    except WaybillError as refusal:
        return await repeats.earlier(services, principal, body, wish, refusal)


def admitted(
    services: Services,
    principal: Principal,
    body: Json,
    wish: Wish,
    *,
    inside: str | None = None,
    warm: Mapping[str, str] | None = None,
) -> NewJob:
    """Validate a body (found `inside` another body, perhaps) and prepare its job."""
    if wish.deadline is not None and wish.deadline <= now_ms():
        raise InvalidRequestError(
            "deadline: this moment is over; times are Unix seconds.", param="deadline"
        )
    job = admission.admit(
        body,
        wish,
        services.credentials.armed(principal),
        services.catalog,
        services.settings,
        inside=inside,
        now=Circumstances(services.observer.snapshot, warm or {}),
    )
    asked = limits_of(principal, job.row, services.settings, is_free=job.is_free)
    return replace(job, limits=asked) if asked else job


async def remembered(
    request: Request, services: Services, principal: Principal, body: Json
) -> Mapping[str, str]:
    """Give a chat body the session that a header names; return which endpoint remembers it."""
    session = header(request, "x-session-id")
    if session and body.get("session_id") is None:
        body["session_id"] = session
    return await warmth.find(services.redis, principal.workspace_id, body)


async def submit(services: Services, job: NewJob) -> Submitted:
    """Write the job, then tell its queue. Once this returns the job is safe."""
    [submitted] = await within_limits(services, [job], lambda: _written(services, job))
    if not submitted.replayed and submitted.follows is None and is_due(job):
        services.publisher.publish(job.provider, job.row["lane"], [job.id])
    return submitted


async def _written(services: Services, job: NewJob) -> Sequence[Submitted]:
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
