"""Errors as callers see them: OpenRouter's envelope, and RFC 9457 problems on our own routes.

The answer to an unknown path suggests a similar one.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from broker.completion import Json
from broker.errors import (
    AuthenticationError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    WaybillError,
)
from broker.jobs.error_envelope import envelope

OWN_ROUTES = ("/route", "/jobs", "/compare", "/webhooks", "/audit", "/users")
PREFIXES = ("/api/v1", "/v1")
MAX_MESSAGE_LENGTH, MAX_PARAM_LENGTH = 4_000, 256
"""Characters. A message may quote the request, which may be long."""


class ErrorMetadata(BaseModel, extra="allow"):
    """More about an error. Errors of providers have further fields, e.g. `provider_name`."""

    error_type: str = Field(description="The kind of error, e.g. `rate_limit_exceeded`.")


class ErrorDetails(BaseModel):
    """Status, message and kind of an error."""

    code: int = Field(description="The HTTP status.")
    message: str = Field(description="What is wrong, and what to do.")
    param: str | None = Field(None, description="The field that is wrong; absent if unknown.")
    metadata: ErrorMetadata = Field(description="The kind of error, and more about it.")


class ErrorBody(BaseModel):
    """The body of an answer with a status of 400 or above (OpenRouter's shape)."""

    error: ErrorDetails = Field(description="What went wrong.")


class ProblemBody(BaseModel, extra="allow"):
    """The body of an error of a route that only Waybill has: problem details (RFC 9457)."""

    type: str = Field(
        description="The kind of error as a URN.", examples=["urn:waybill:error:not_found"]
    )
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what to do.")
    param: str | None = Field(None, description="The field that is wrong; absent if unknown.")


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def build_problem(status: int, message: str, metadata: Json, param: str | None = None) -> Json:
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
    """Return whether a path belongs to a route that only Waybill has; its errors are problems."""
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
    message = _cut(error.message, MAX_MESSAGE_LENGTH)
    param = None if error.param is None else _cut(error.param, MAX_PARAM_LENGTH)
    headers = {**_retry_after(error), **error.headers, **(headers or {})}
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    if is_own_route(request.url.path):
        body = build_problem(error.status, message, metadata, param)
        response = json_response(body, error.status, headers)
        response.headers["content-type"] = "application/problem+json"
        return response
    return json_response(envelope(error.status, message, metadata, param), error.status, headers)


PARAMETER = re.compile(r"\{[^}]*\}")
NEAR = 0.8  # how much of a path must be right
ELSEWHERE = {
    "/responses": "OpenAI's Responses API is not here",
    "/messages": "Anthropic's Messages API is not here",
}
"""Paths of other APIs, with the answer to clients that call them."""


def answer_unrouted(app: FastAPI, request: Request, error: HTTPException) -> Response:
    """Return the answer to a request that the framework refused."""
    target, path = f"{request.method} {request.url.path}", _documented(request.url.path)
    known = app.openapi()["paths"]
    if error.status_code == 404:  # noqa: PLR2004
        if request.method in _allowed(path.rstrip("/"), known):
            return _without_slash(request)
        return error_response(request, NotFoundError(f"{target}: {_remedy(path, known)}."))
    headers = dict(error.headers or {})
    if allowed := _allowed(
        path, known
    ):  # the framework names the methods of one of its routes only
        headers["Allow"] = ", ".join(allowed)
    advice = f"use {headers['Allow']}" if "Allow" in headers else error.detail
    return error_response(request, _refusal(error, f"{target}: {advice}."), headers)


def _without_slash(request: Request) -> Response:
    """Redirect to the same path without the slash at its end."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.url.path.rstrip('/')}{query}", 307)


def _allowed(path: str, known: Mapping[str, Collection[str]]) -> list[str]:
    """Return the methods of every documented path that a requested one matches."""
    methods = [
        method.upper()
        for template, operations in known.items()
        if _pattern(template).fullmatch(path)
        for method in operations
    ]
    return list(dict.fromkeys(methods))


@lru_cache(maxsize=1_000)
def _pattern(template: str) -> re.Pattern[str]:
    """Return the expression that a documented path stands for: each parameter is one segment."""
    parts = PARAMETER.split(template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


def _documented(path: str) -> str:
    """Return the path under the prefix that is documented."""
    for prefix in PREFIXES:
        if path.startswith(f"{prefix}/"):
            return PREFIXES[0] + path.removeprefix(prefix)
    return path


def _remedy(path: str, known: Collection[str]) -> str:
    elsewhere = ELSEWHERE.get(path.removeprefix(PREFIXES[0]))
    if elsewhere is not None:
        return f"{elsewhere}: send chats to {PREFIXES[0]}/chat/completions"
    near = difflib.get_close_matches(path[:200], known, n=1, cutoff=NEAR)
    return f"there is no such path; {near[0]} is meant, perhaps" if near else "not found"


def _refusal(error: HTTPException, message: str) -> WaybillError:
    """Return the error for a request that the framework refused."""
    if error.status_code == 405:  # noqa: PLR2004
        return MethodNotAllowedError(message)
    return InvalidRequestError(message)
