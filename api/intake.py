"""From an HTTP request to an accepted job: read, validate, prepare, write, publish."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import orjson
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from api import encodings, repeats
from api.attribution import attribution
from api.limiting import within_limits
from api.presetting import with_preset
from api.services import Services
from broker import admission, reports, submission, warmth
from broker.accounts import Principal
from broker.bodies import validated
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError, WaybillError
from broker.limits import limits_of
from broker.operations import Operation
from broker.privacy import Store
from broker.queues import Lane
from broker.routing import Circumstances
from broker.submission import NewJob, Submitted, Wish

__all__ = [
    "Preference",
    "admitted",
    "asked",
    "idempotency_key",
    "is_due",
    "milliseconds",
    "preference",
    "prepared",
    "read_json",
    "submit",
    "validated",
    "wish",
]

MAX_KEY_LENGTH = 255

Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Preference:
    """What the caller's `Prefer` header asks (RFC 7240)."""

    respond_async: bool = False
    wait: float | None = None  # seconds

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`."""
        words = ["respond-async"] if self.respond_async else []
        return ", ".join([*words, f"wait={self.wait:g}"] if self.wait is not None else words)


async def read_bytes(request: Request, most: int) -> bytes:
    """Return the body. Raises for one that is too large, without reading on."""
    encodings.check(request)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise PayloadTooLargeError(
                f"The request body is larger than {most} bytes (WAYBILL_MAX_BODY_BYTES): send "
                "large images and documents by URL."
            )
    return bytes(body)


async def read_json(request: Request, most: int, *, or_nothing: bool = False) -> Json:
    """Return the body as a JSON object. Raises for a body that is too large or none.

    With `or_nothing` an absent body is an empty object.
    """
    body = await read_bytes(request, most)
    if or_nothing and not body:
        return {}
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"The request body is not JSON: {error}.", param="body") from None
    if not isinstance(parsed, dict):
        raise InvalidRequestError("The request body must be a JSON object.", param="body")
    return parsed


async def asked(
    request: Request, services: Services, schema: type[Asked], *, or_nothing: bool = False
) -> Asked:
    """Return the body as what a route expects. Raises WaybillError that names the field.

    With `or_nothing` the body may be absent.
    """
    body = await read_json(request, services.settings.max_body_bytes, or_nothing=or_nothing)
    return validated(schema, body)


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
            wish = replace(wish, asked=body)
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
    asked = limits_of(principal, job.row, services.settings)
    return replace(job, limits=asked) if asked else job


async def remembered(
    request: Request, services: Services, principal: Principal, body: Json
) -> Mapping[str, str]:
    """Give a chat body the session that a header names; return which endpoint remembers it."""
    session = request.headers.get("x-session-id")
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
        return [await services.database.write(submission.submit_many, job)]
    except IntegrityError:
        workspace_id = job.row["workspace_id"]
        if await services.database.read(reports.job, workspace_id, job.id) is None:
            raise
        return [Submitted(job.id, replayed=False)]


def is_due(job: NewJob) -> bool:
    """Tell jobs that are published at once from those that wait for the dispatcher."""
    row = job.row
    return bool(row["lane"] == Lane.INTERACTIVE.value and row["available_at"] <= row["created_at"])


def idempotency_key(request: Request) -> str | None:
    """Return the `Idempotency-Key` header, without the quotes of a structured-field string."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    key = key.strip().strip('"')
    if not key or len(key) > MAX_KEY_LENGTH:
        raise InvalidRequestError(
            f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} characters.", param="Idempotency-Key"
        )
    return key


def wish(request: Request, operation: Operation = Operation.CHAT) -> Wish:
    """Return what the headers of a call ask of its job."""
    return Wish(
        operation=operation,
        idempotency_key=idempotency_key(request),
        coalesce=request.headers.get("x-coalesce", "").lower() == "true",  # the body may ask, too
        store=_store(request),
        **attribution(request),
    )


def _store(request: Request) -> str | None:
    """Read `X-Store`: what is to be kept of a request's prompt and answer."""
    wanted = request.headers.get("x-store")
    if wanted is None or wanted in set(Store):
        return wanted
    raise InvalidRequestError(f"X-Store is one of {', '.join(Store)}.", param="X-Store")


def preference(request: Request) -> Preference:
    """Read `Prefer: respond-async` and `wait=N`; what is not known is ignored (RFC 7240)."""
    respond_async, wait = False, None
    for word in ",".join(request.headers.getlist("prefer")).replace(";", ",").split(","):
        name, _, value = word.strip().lower().partition("=")
        if name == "respond-async":
            respond_async = True
        elif name == "wait":
            wait = _seconds(value.strip('"'))
    return Preference(respond_async, wait)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 24 * 3600:
        raise InvalidRequestError("Prefer: wait=N takes a number of seconds.", param="Prefer")
    return seconds


def milliseconds(unix_seconds: float | None, field: str) -> int | None:
    """Read a time in Unix seconds; one that is centuries off was given in another unit."""
    if unix_seconds is None:
        return None
    if unix_seconds > time.time() + 10 * 366 * 86400:
        raise InvalidRequestError(
            f"{field}: more than ten years ahead; times are Unix seconds.", param=field
        )
    return int(unix_seconds * 1000)
