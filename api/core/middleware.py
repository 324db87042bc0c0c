"""Middleware around every exchange: request ids, CORS, stalled bodies, trusted proxies."""

import asyncio
import re
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from api.core.errors import error_response
from broker import ids
from broker.errors import RequestTimeoutError, UnavailableError, WaybillError

REQUEST_ID = "x-request-id"
ANTHROPIC_REQUEST_ID = "request-id"
MESSAGES_PATH = "/v1/messages"
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


class StalledBodies:
    """Ends a request whose body stalls. After the body, an answer may take any time."""

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


class UnexpectedErrors:
    """Answers in the shape of the route when a handler raises an unexpected error or is cancelled.

    It runs inside the middleware that adds headers, so that its answers have them, too.
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
        except asyncio.CancelledError:  # the server stops after its grace period
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
    """Adds `x-request-id` to every response and to the log lines of its request.

    An id from the caller is used if it has 1 to 128 visible ASCII characters.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                if MESSAGES_PATH in scope["path"]:
                    headers[ANTHROPIC_REQUEST_ID] = request_id
            await send(message)

        bound = bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            reset_contextvars(**bound)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _USABLE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return ids.new_id("req_")


class CrossOrigin:
    """Allows pages of some origins to call the API paths. They may not call other paths.

    Cookies are never accepted from another origin: such a page needs an API key.
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


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS = 32
SCHEMES = ("http", "https")


class TrustedProxies:
    """Replaces client, scheme and host of requests that came through configured proxies."""

    def __init__(self, app: ASGIApp, networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = _address(scope["client"][0]) if scope.get("client") else None
        if scope["type"] == "http" and peer is not None and self._trusts(peer):
            scope = self._replace_client(scope, peer)
        await self._app(scope, receive, send)

    def _replace_client(self, scope: Scope, peer: Address) -> Scope:
        headers = Headers(scope=scope)
        client, proxies = self._client(peer, _listed(headers, "x-forwarded-for"))
        scope = {**scope, "client": (str(client), 0), "headers": list(scope["headers"])}
        scheme = _of_outermost(_listed(headers, "x-forwarded-proto"), proxies)
        if scheme in SCHEMES:
            scope["scheme"] = scheme
        host = _of_outermost(_listed(headers, "x-forwarded-host"), proxies)
        if host:
            MutableHeaders(scope=scope)["host"] = host
        return scope

    def _client(self, peer: Address, hops: Sequence[str]) -> tuple[Address, int]:
        """Return the rightmost address that is no proxy's, and the number of proxies.

        Each proxy appends the address of its peer. The entries further left were sent by the
        client, which may send anything. An entry that is no address ends the search.
        """
        client, proxies = peer, 1
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
            proxies += 1
        return client, proxies

    def _trusts(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def _listed(headers: Headers, name: str) -> list[str]:
    """Return the entries of a header that may be sent more than once."""
    return [entry.strip() for value in headers.getlist(name) for entry in value.split(",")]


def _of_outermost(entries: Sequence[str], proxies: int) -> str | None:
    """Return the entry of the outermost configured proxy; some proxies replace, some append."""
    return entries[-min(proxies, len(entries))] if entries else None


def _address(text: str) -> Address | None:
    """Read an address, with or without a port; IPv4 inside IPv6 is IPv4."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
