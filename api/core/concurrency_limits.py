"""Limits of what a key or a workspace has open in this process: streams and uploads."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.accounts import Principal
from broker.errors import RateLimitedError

_END_CALLBACKS = "waybill.end_callbacks"
RETRY_SECONDS = 5


class EndCallbacks:
    """Gives each request a place for what is to be done when its answer has ended, however."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as at_end:
            scope[_END_CALLBACKS] = at_end
            await self._app(scope, receive, send)


class TooManyStreamsError(RateLimitedError):
    retry_after = RETRY_SECONDS


class OpenStreams:
    """Counts open streams by key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def take(self, request: Request, principal: Principal) -> None:
        """Count a stream until its answer has ended. Raises TooManyStreamsError."""
        if not self._most:
            return
        key = principal.actor
        if self._open[key] >= self._most:
            raise TooManyStreamsError(
                f"{self._most} streams of this key are open, which is the limit "
                "(WAYBILL_STREAMS_PER_KEY): end one, or try again."
            )
        self._open[key] += 1
        at_end: ExitStack = request.scope[_END_CALLBACKS]
        at_end.callback(self._give_back, key)

    def _give_back(self, key: str) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


AT_ONCE = 16
"""Uploads of one workspace that are under way: each may write its whole size before it counts."""

MINUTE = 60.0


class TooManyUploadsError(RateLimitedError):
    retry_after = 5


class UploadLimits:
    """See the module."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._under_way: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._since = time.monotonic()

    @contextmanager
    def taken(self, workspace_id: str) -> Iterator[None]:
        """Count an upload for as long as this lasts. Raises TooManyUploadsError."""
        if time.monotonic() - self._since >= MINUTE:
            self._begun.clear()
            self._since = time.monotonic()
        if self._per_minute and self._begun[workspace_id] >= self._per_minute:
            raise TooManyUploadsError(
                f"The workspace has begun {self._per_minute} uploads in this minute, which is the "
                "limit (WAYBILL_UPLOADS_PER_MINUTE): wait a moment."
            )
        if self._under_way[workspace_id] >= AT_ONCE:
            raise TooManyUploadsError(
                f"{AT_ONCE} uploads of the workspace are under way, which is the limit: let one "
                "end first."
            )
        self._begun[workspace_id] += 1
        self._under_way[workspace_id] += 1
        try:
            yield
        finally:
            self._under_way[workspace_id] -= 1
            if not self._under_way[workspace_id]:
                del self._under_way[workspace_id]
