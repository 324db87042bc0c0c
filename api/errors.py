"""Errors as callers see them: OpenRouter's envelope, and RFC 9457 problems on our own routes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from broker.completion import ErrorType, Json
from broker.errors import InvalidRequestError, WaybillError, http_status

UNION_FORMS = re.compile(r"str|constrained-str|Route|(list|literal|dict)\[.*|function-.*")
"""How Pydantic names the members of a union that has no tags."""

OWN_ROUTES = ("/jobs", "/webhooks")
PREFIXES = ("/api/v1", "/v1")

PROVIDER_CREDENTIALS = frozenset(
    {ErrorType.AUTHENTICATION, ErrorType.PAYMENT_REQUIRED, ErrorType.PERMISSION_DENIED}
)
"""At a provider these concern *our* account there: to the caller the provider is unavailable."""


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def envelope(status: int, message: str, metadata: Json, param: str | None = None) -> Json:
    """Return OpenRouter's error body (its docs, "Errors"); `param` is OpenAI's addition."""
    error: Json = {"code": status, "message": message, "metadata": metadata}
    if param is not None:
        error["param"] = param
    return {"error": error}


def problem(status: int, message: str, metadata: Json, param: str | None = None) -> Json:
    """Return RFC 9457 problem details."""
    error_type = metadata.get("error_type", "server")
    body: Json = {
        "type": f"urn:waybill:error:{error_type}",
        "title": str(error_type).replace("_", " "),
        "status": status,
        "detail": message,
    }
    if param is not None:
        body["param"] = param
    return body | {name: value for name, value in metadata.items() if name != "error_type"}


def is_own_route(path: str) -> bool:
    """Tell Waybill's own routes, which answer with problems, from the compatible ones."""
    for prefix in PREFIXES:
        if path.startswith(prefix):
            return path.removeprefix(prefix).startswith(OWN_ROUTES)
    return False


def error_response(
    request: Request,
    error: WaybillError,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a refusal, in the shape of the route it happened on."""
    metadata = {"error_type": error.error_type.value, **error.metadata}
    if is_own_route(request.url.path):
        body = problem(error.status, error.message, metadata, error.param)
        response = json_response(body, error.status, headers)
        response.headers["content-type"] = "application/problem+json"
        return response
    return json_response(
        envelope(error.status, error.message, metadata, error.param), error.status, headers
    )


def invalid(error: ValidationError, prefix: Sequence[str] = ()) -> InvalidRequestError:
    """Turn the first validation problem into an error that names the field."""
    problems = error.errors(include_url=False, include_context=False)
    located = [(_location(each["loc"]), each["msg"]) for each in problems]
    first, _ = located[0]
    # a union complains of every form it could have: the form that was meant got furthest
    same = [each for each in located if each[0][: len(first)] == first]
    location, message = max(same, key=lambda each: len(each[0]))
    field = ".".join([*prefix, *map(str, location)])
    more = f" ({len(problems) - len(same)} more problems)" if len(problems) > len(same) else ""
    return InvalidRequestError(f"{field or 'body'}: {message}{more}", param=field or None)


def _location(steps: Sequence[int | str]) -> list[int | str]:
    """Leave out the names of union members, which Pydantic puts into a location: noise to a caller.

    A tag (`user` in messages.0.user.content, `text` in content.1.text.text) comes after a number.
    """
    path: list[int | str] = []
    before: int | str = ""
    for step in steps:
        if isinstance(step, str) and UNION_FORMS.fullmatch(step):
            continue
        is_tag = isinstance(before, int) and path[-2:-1] in (["messages"], ["content"])
        if not is_tag:
            path.append(step)
        before = step
    return path


def provider_error(error: Json) -> tuple[int, str, Json]:
    """Return status, message and metadata for the stored error of a failed job."""
    error_type = ErrorType(error.get("error_type", "unmapped"))
    metadata: Json = {"error_type": error_type.value}
    if error_type in PROVIDER_CREDENTIALS and error.get("provider"):
        metadata = {
            "error_type": ErrorType.PROVIDER_UNAVAILABLE.value,
            "provider_error_type": error_type.value,
        }
    metadata["provider_name"] = error.get("provider")
    metadata["provider_code"] = error.get("provider_code") or error.get("http_status")
    metadata["raw"] = error.get("raw")
    status = http_status(ErrorType(metadata["error_type"]))
    return status, error["message"], {k: v for k, v in metadata.items() if v is not None}
