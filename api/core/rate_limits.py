"""Rate limits of accepted requests by key, and of refused requests by address and credential."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import error_response
from api.core.services import Services, get_services
from broker import rate_limits
from broker.clock import now_ms
from broker.errors import AuthenticationError, PermissionDeniedError, RateLimitedError
from broker.submission import NewJob, Submitted, idempotency


async def write_within_limits(
    services: Services,
    jobs: Sequence[NewJob],
    write: Callable[[], Awaitable[Sequence[Submitted]]],
) -> Sequence[Submitted]:
    """Write jobs, all or none of them. Raises RateLimitedError if a limit is reached."""
    limited = [job for job in jobs if job.limits]
    if not limited:
        return await write()
    now = now_ms()
    counted: list[NewJob] = []
    made: set[str] = set()
    try:
        for job in limited:
            refusal = await services.limiter.take(job.limits, job.id, now)
            if refusal is None:
                counted.append(job)
            elif not await _is_replay(services, job):
                raise rate_limits.error_of(refusal, now, at_once=len(limited))
        submitted = await write()
        made = {each.job_id for each in submitted if not each.replayed}
    finally:
        for job in counted:
            if job.id not in made:
                await services.limiter.give_back(job.limits, job.id, now)
    return submitted


async def _is_replay(services: Services, job: NewJob) -> bool:
    """Return whether the job's idempotency key is known, so that no job will be created."""
    if job.row["idempotency_key"] is None:
        return False
    return await services.database.read(idempotency.is_key_known, job.row)


REFUSALS = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
"""The statuses of answers that count as refusals."""
UNAUTHORIZED = 401
BAD_REQUEST = 400
UNLIMITED_PATHS = ("/health", "/metrics")
WINDOW_SECONDS = 60.0
MAX_CONCURRENT_LOOKUPS = 4
_Value = TypeVar("_Value")
MAX_CALLERS = 10_000
"""The most callers in memory. The caller that was seen longest ago is removed first."""


class TooManyRefusalsError(RateLimitedError):
    """A caller has sent too many requests that were refused."""

    def __init__(self, most: int, seconds: float) -> None:
        super().__init__(
            f"More than {most} requests were refused within a minute "
            "(WAYBILL_REFUSALS_PER_MINUTE): correct them, and wait for a moment."
        )
        self.headers["Retry-After"] = str(int(seconds) + 1)


class RefusalLimits:
    """Refuses callers whose requests were refused too often in the last minute.

    A caller is a valid credential, or else an address.
    """

    def __init__(self, app: ASGIApp, max_refusals: int) -> None:
        self._app = app
        self._max_refusals = max_refusals
        self._refused: OrderedDict[str, tuple[float, int]] = (
            OrderedDict()
        )  # caller → (start, count)
        self._valid: OrderedDict[str, None] = OrderedDict()  # credentials
        self._lookups = asyncio.Semaphore(MAX_CONCURRENT_LOOKUPS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"].startswith(UNLIMITED_PATHS)
            or not self._max_refusals
        ):
            await self._app(scope, receive, send)
            return
        address, credential = _address(scope), _credential(scope)
        caller = credential if credential in self._valid else address
        if caller == address and credential and self._waiting_seconds(address) > 0:
            caller = credential if await self._is_valid(Request(scope), credential) else address
        if (seconds := self._waiting_seconds(caller)) > 0:
            refusal = TooManyRefusalsError(self._max_refusals, seconds)
            await error_response(Request(scope), refusal)(scope, receive, send)
            return

        async def send_counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(message["status"], address, credential)
            await send(message)

        await self._app(scope, receive, send_counting)

    async def _is_valid(self, request: Request, credential: str) -> bool:
        """Return whether an unknown key or session is valid, and store it if so."""
        async with self._lookups:
            try:
                await get_services(request).keyring.principal(request)
            except AuthenticationError:
                return False
            except PermissionDeniedError:  # it is valid; the route refuses the request
                pass
        _store(self._valid, credential, None)
        return True

    def _count(self, status: int, address: str, credential: str) -> None:
        if status == UNAUTHORIZED:
            self._valid.pop(credential, None)
        elif credential and status < BAD_REQUEST:
            _store(self._valid, credential, None)
        if status not in REFUSALS:
            return
        caller = credential if credential in self._valid else address
        since, count = self._refused.get(caller, (time.monotonic(), 0))
        if time.monotonic() - since >= WINDOW_SECONDS:
            since, count = time.monotonic(), 0
        _store(self._refused, caller, (since, count + 1))

    def _waiting_seconds(self, caller: str) -> float:
        """Return the seconds for which a caller has to wait."""
        since, count = self._refused.get(caller, (0.0, 0))
        return since + WINDOW_SECONDS - time.monotonic() if count >= self._max_refusals else 0.0


def _store(known: OrderedDict[str, _Value], name: str, value: _Value) -> None:
    known[name] = value
    known.move_to_end(name)
    if len(known) > MAX_CALLERS:
        known.popitem(last=False)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return f"address {client[0]}" if client else "address unknown"


def _credential(scope: Scope) -> str:
    """Return the hash of the key or session of a request, or an empty string."""
    for name, value in scope["headers"]:
        if name in (b"authorization", b"x-api-key", b"cookie"):
            return hashlib.sha256(value).hexdigest()
    return ""
