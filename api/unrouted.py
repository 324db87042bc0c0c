"""Requests that no route answers: what was meant, perhaps, and what is not here at all."""

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.core.errors import PREFIXES, error_response
from broker.errors import (
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    WaybillError,
)

PARAMETER = re.compile(r"\{[^}]*\}")
NEAR = 0.8  # how much of a path must be right
ELSEWHERE = {
    "/responses": "OpenAI's Responses API is not here",
    "/messages": "Anthropic's Messages API is not here",
}
"""What callers know from others: the way is known, and does not lead here."""


def answer(app: FastAPI, request: Request, error: HTTPException) -> Response:
    """Return the answer to a request that the framework turned away."""
    asked, path = f"{request.method} {request.url.path}", _documented(request.url.path)
    known = app.openapi()["paths"]
    if error.status_code == 404:  # noqa: PLR2004
        if request.method in _allowed(path.rstrip("/"), known):
            return _without_slash(request)
        return error_response(request, NotFoundError(f"{asked}: {_remedy(path, known)}."))
    headers = dict(error.headers or {})
    if allowed := _allowed(
        path, known
    ):  # the framework names the methods of one of its routes only
        headers["Allow"] = ", ".join(allowed)
    told = f"use {headers['Allow']}" if "Allow" in headers else error.detail
    return error_response(request, _refusal(error, f"{asked}: {told}."), headers)


def _without_slash(request: Request) -> Response:
    """Send a caller on to the same path without the slash at its end."""
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
    """Return the refusal for what the framework turned away."""
    if error.status_code == 405:  # noqa: PLR2004
        return MethodNotAllowedError(message)
    return InvalidRequestError(message)
