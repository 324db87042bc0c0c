"""What a request says: its body, and what its headers ask of a job."""

import time
from dataclasses import dataclass
from typing import TypeVar

import orjson
from pydantic import BaseModel
from starlette.requests import Request

from api import encodings
from api.core.headers import attribution
from api.core.services import Services
from api.headers import header
from broker import whole_numbers
from broker.bodies import validated
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError
from broker.operations import Operation
from broker.privacy import Store
from broker.submission import Wish

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
        parsed = whole_numbers.loads(body)
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


def idempotency_key(request: Request) -> str | None:
    """Return the `Idempotency-Key` header, without the quotes of a structured-field string."""
    key = header(request, "idempotency-key")
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
