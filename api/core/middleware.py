"""Wrap every HTTP exchange, whichever route answers it: request ids, CORS, stalled bodies."""

import asyncio
import re
from collections.abc import Collection

import structlog
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.core.errors import error_response
from broker import ids
from broker.errors import RequestTimeoutError, UnavailableError, WaybillError

REQUEST_ID = "x-request-id"
_USABLE_ID = re.compile(rb"[\x21-\x7e]{1,128}")
EXPOSED = (
    *("X-Request-Id", "X-Job-Id", "X-Generation-Id", "X-Queue-Ms", "Idempotent-Replayed"),
    *("Location", "Retry-After", "Preference-Applied", "Content-Disposition"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
"""Response headers that a page on another origin may read."""

log = structlog.get_logger()

STOPPING = (
    "Waybill is being restarted. A call that was accepted goes on: repeat it with the same "
    "Idempotency-Key, or look for its job in GET /jobs."
)
BODY_SECONDS = 60.0  # until the next piece of a body


class NoStalling:
    """Gives up a request whose body stalls. Once it is there, an answer may take its time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_waiting = scope["type"] == "http"

        async def receive_in_time() -> Message:
            nonlocal is_waiting
            if not is_waiting:
                return await receive()
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeoutError from None
            is_waiting = bool(message.get("more_body"))
            return message

        await self._app(scope, receive_in_time, send)


class Unexpected:
    """Answer in the shape of the route where a handler raised what it should not, or is cut off.

    It stands inside the wrappers that add headers, so that this answer has them, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        error: WaybillError
        try:
            await self._app(scope, receive, send_noting)
        except asyncio.CancelledError:  # the server stops, and has waited as long as it may
            if scope["type"] != "http" or has_begun:
                raise
            error = UnavailableError(STOPPING)
        except Exception:
            if scope["type"] != "http" or has_begun:
                raise
            log.exception("api.unexpected_error", path=scope["path"])
            error = WaybillError("Waybill failed to handle this request. Its log has the reason.")
        else:
            return
        await error_response(Request(scope), error)(scope, receive, send)


class RequestIds:
    """Put `x-request-id` on every response and on the log lines of its request.

    A caller's own id is kept where it has 1 to 128 visible ASCII characters.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _USABLE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return ids.new_id("req_")


class CrossOrigin:
    """Let pages of these origins call the API paths. Other paths stay closed to other origins.

    Cookies are never accepted from another origin: a page calls with a key of its own.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str], prefixes: Collection[str]) -> None:
        self._app = app
        self._prefixes = tuple(f"{prefix}/" for prefix in prefixes)
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(self._prefixes)
        await (self._open if is_api else self._app)(scope, receive, send)
