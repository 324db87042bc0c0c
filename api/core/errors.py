"""Answers to refused requests, in the shape of the API that the path belongs to.

The answer to an unknown path suggests a similar one.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.core.error_bodies import PREFIXES, find_shape
from broker.completion import Json
from broker.dialects.errors import ApiError
from broker.errors import (
    AuthenticationError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    WaybillError,
)

MAX_MESSAGE_LENGTH, MAX_PARAM_LENGTH = 4_000, 256
"""Characters. A message may quote the request, which may be long."""


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


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
    return render_error(request, error.status, message, metadata, param=param, headers=headers)


def render_error(
    request: Request,
    status: int,
    message: str,
    metadata: Json,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error in the shape of the API that the path of the request belongs to."""
    request_id = getattr(request.state, "request_id", None)
    shape = find_shape(request.url.path)
    body = shape.build(ApiError(status, message, metadata, param, request_id))
    return Response(orjson.dumps(body), status, headers=headers, media_type=shape.media_type)


PARAMETER = re.compile(r"\{[^}]*\}")
NEAR = 0.8  # how much of a path must be right


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
    near = difflib.get_close_matches(path[:200], known, n=1, cutoff=NEAR)
    return f"there is no such path; {near[0]} is meant, perhaps" if near else "not found"


def _refusal(error: HTTPException, message: str) -> WaybillError:
    """Return the error for a request that the framework refused."""
    if error.status_code == 405:  # noqa: PLR2004
        return MethodNotAllowedError(message)
    return InvalidRequestError(message)
