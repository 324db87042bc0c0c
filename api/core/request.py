"""Read requests: bodies, the headers that concern a job, and query parameters."""

import difflib
import math
import re
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import orjson
from fastapi.dependencies.models import Dependant
from pydantic import AfterValidator, BaseModel, BeforeValidator
from starlette.requests import Request

from api.core import headers
from api.core.headers import read_attribution, read_header
from api.core.services import get_services
from broker.completion import Json
from broker.enums import Store
from broker.errors import InvalidRequestError, PayloadTooLargeError
from broker.ids import is_id
from broker.requests import whole_numbers
from broker.requests.operations import Operation
from broker.submission import JobOptions
from broker.values import immutable

MAX_KEY_LENGTH = 255


@immutable
class Preference:
    """The caller's `Prefer` header (RFC 7240)."""

    respond_async: bool = False
    wait: float | None = None  # seconds

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`."""
        words = ["respond-async"] if self.respond_async else []
        return ", ".join([*words, f"wait={self.wait:g}"] if self.wait is not None else words)


async def read_bytes(request: Request, most: int) -> bytes:
    """Return the body. Raises PayloadTooLargeError as soon as it is larger than `most` bytes."""
    headers.refuse_encoded(request)
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
    """Return the body as a JSON object. Raises for a body that is too large or no object.

    With `or_nothing`, an absent body is an empty object.
    """
    body = await read_bytes(request, most)
    if or_nothing and not body:
        return {}
    try:
        parsed = whole_numbers.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"The request body is not JSON: {error}.", param="body") from None
    if not isinstance(parsed, dict):
        raise InvalidRequestError("The request body must be a JSON object.", param="body")
    return parsed


def parse_idempotency_key(request: Request) -> str | None:
    """Return the `Idempotency-Key` header, without the quotes of a structured-field string."""
    key = read_header(request, "idempotency-key")
    if key is None:
        return None
    key = key.strip().strip('"')
    if not key or len(key) > MAX_KEY_LENGTH:
        raise InvalidRequestError(
            f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} characters.", param="Idempotency-Key"
        )
    return key


def read_job_options(request: Request, operation: Operation = Operation.CHAT) -> JobOptions:
    """Return the options of a job that the headers of its call state."""
    return JobOptions(
        operation=operation,
        idempotency_key=parse_idempotency_key(request),
        coalesce=request.headers.get("x-coalesce", "").lower() == "true",
        store=_store(request),
        **read_attribution(request),
    )


def _store(request: Request) -> str | None:
    """Return the header `X-Store`: what is stored of the prompt and the answer."""
    store = request.headers.get("x-store")
    if store is None or store in set(Store):
        return store
    raise InvalidRequestError(f"X-Store is one of {', '.join(Store)}.", param="X-Store")


def read_preference(request: Request) -> Preference:
    """Return the preferences `respond-async` and `wait=N`; others are ignored (RFC 7240)."""
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


def to_milliseconds(unix_seconds: float | None, field: str) -> int | None:
    """Return a time in milliseconds. Raises for one far ahead, which has another unit."""
    if unix_seconds is None:
        return None
    if unix_seconds > time.time() + 10 * 366 * 86400:
        raise InvalidRequestError(
            f"{field}: more than ten years ahead; times are Unix seconds.", param=field
        )
    return int(unix_seconds * 1000)


METADATA = re.compile(r"metadata\[(.{1,64})\]")
"""A filter by a name of the caller's own."""
ANY_METADATA = "metadata[name]"
"""The query parameter that declares such filters."""

IGNORED_PARAMETERS = frozenset(
    {"api-version", "beta", "include[]", "use_rss", "use_rss_chat_links"}
)
"""Query parameters that clients of OpenAI, Anthropic and OpenRouter send."""


async def check_query(request: Request) -> None:
    """Raise InvalidRequestError for an unknown query parameter, and for a value with a NUL."""
    if request.method != "GET" or not request.scope["query_string"]:
        return
    known = _find_parameters(request.scope["route"].dependant)
    for name, value in request.query_params.multi_items():
        declared = ANY_METADATA if METADATA.fullmatch(name) else name
        if declared not in known | IGNORED_PARAMETERS:
            await require_key(request)
            raise InvalidRequestError(_describe_unknown(name, known), param=name)
        if "\0" in value:
            await require_key(request)
            raise InvalidRequestError(f"{name}: there is a NUL in it.", param=name)


async def require_key(request: Request) -> None:
    """Raise AuthenticationError for a caller without a key, if the route needs one.

    The key is checked before an error of the query is reported.
    """
    route = request.scope.get("route")
    if "security" not in (getattr(route, "openapi_extra", None) or {}):
        await get_services(request).keyring.principal(request)


def _require_prefix(prefix: str) -> AfterValidator:
    """Return the validator of ids with this prefix. The object may have been deleted."""

    def check(value: str) -> str:
        if not is_id(prefix, value):
            raise ValueError(f"{value[:40]!r} is no id here: give the last_id of the page before")
        return value

    return AfterValidator(check)


def _parse_time(value: object) -> float:
    """Return a time, given in Unix seconds or ISO 8601 (UTC by default), in Unix seconds."""
    text = str(value)
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{text[:40]!r} is no time: give Unix seconds or ISO 8601 (2026-01-31T12:00:00Z)"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp()
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text[:40]!r} is no time after 1970")
    return seconds


Moment: TypeAlias = Annotated[float, BeforeValidator(_parse_time)]
JobCursor: TypeAlias = Annotated[str, _require_prefix("job_")]
FileCursor: TypeAlias = Annotated[str, _require_prefix("file_")]
BatchCursor: TypeAlias = Annotated[str, _require_prefix("batch_")]
EvaluationCursor: TypeAlias = Annotated[str, _require_prefix("eval_")]
DeliveryCursor: TypeAlias = Annotated[str, _require_prefix("dlv_")]
AuditCursor: TypeAlias = Annotated[str, _require_prefix("aud_")]
LedgerCursor: TypeAlias = Annotated[str, _require_prefix("led_")]


def _find_parameters(dependant: Dependant) -> set[str]:
    """Return the names of the query parameters of a route and of its dependencies."""
    names: set[str] = set()
    for each in dependant.query_params:
        form = each.field_info.annotation
        if isinstance(form, type) and issubclass(form, BaseModel):
            names |= {field.alias or name for name, field in form.model_fields.items()}
        else:
            names.add(each.alias)
    return names.union(*map(_find_parameters, dependant.dependencies))


def _describe_unknown(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1)
    if near:
        return f"{name[:64]}: there is no such query parameter here; {near[0]} is meant, perhaps."
    what = f"this route knows {', '.join(sorted(known))}" if known else "this route takes none"
    return f"{name[:64]}: there is no such query parameter here; {what}."
