"""Errors as callers see them: OpenRouter's envelope, and RFC 9457 problems on our own routes."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from broker.completion import Json
from broker.errors import AuthenticationError, WaybillError
from broker.refusals import envelope

OWN_ROUTES = ("/route", "/jobs", "/compare", "/webhooks", "/audit", "/users")
PREFIXES = ("/api/v1", "/v1")
LONGEST_MESSAGE, LONGEST_PARAM = 4_000, 256
"""Characters: a refusal may quote what was sent, which may be long."""


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


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


def _retry_after(error: WaybillError) -> dict[str, str]:
    """Return the header that says when the same request may succeed."""
    return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def error_response(
    request: Request,
    error: WaybillError,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a refusal, in the shape of the route it happened on."""
    metadata = {"error_type": error.error_type.value, **error.metadata}
    message = _cut(error.message, LONGEST_MESSAGE)
    param = None if error.param is None else _cut(error.param, LONGEST_PARAM)
    headers = {**_retry_after(error), **error.headers, **(headers or {})}
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    if is_own_route(request.url.path):
        body = problem(error.status, message, metadata, param)
        response = json_response(body, error.status, headers)
        response.headers["content-type"] = "application/problem+json"
        return response
    return json_response(envelope(error.status, message, metadata, param), error.status, headers)
