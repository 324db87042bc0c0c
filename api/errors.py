"""Errors as callers see them: OpenRouter's envelope, and RFC 9457 problems on our own routes."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from broker.completion import ErrorType, Json
from broker.errors import InvalidRequestError, WaybillError, http_status

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
    first = problems[0]
    field = ".".join([*prefix, *(str(step) for step in first["loc"] if not _is_tag(step, first))])
    more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return InvalidRequestError(f"{field or 'body'}: {first['msg']}{more}", param=field or None)


def _is_tag(step: int | str, problem: Any) -> bool:
    """Pydantic puts the names of union members into a location: noise to a caller."""
    tags = {"str", "list[union]", "literal", "Route", "constrained-str", "list[str]"}
    roles = {"system", "developer", "user", "assistant", "tool", "function"}
    return isinstance(step, str) and (
        step in tags
        or step.startswith(("list[", "literal[", "dict[", "tagged-union", "function-"))
        or (step in roles and problem["loc"][0] == "messages" and len(problem["loc"]) > 2)  # noqa: PLR2004
    )


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
