"""Limits in this process: open streams of a key, and uploads of a workspace."""

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
    """Gives each request a stack of callbacks that run when its answer has ended or failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as callbacks:
            scope[_END_CALLBACKS] = callbacks
            await self._app(scope, receive, send)


class TooManyStreamsError(RateLimitedError):
    """A key has too many open streams."""

    retry_after = RETRY_SECONDS


class OpenStreams:
    """Counts open streams by key."""

    def __init__(self, max_per_key: int) -> None:
        self._max_per_key = max_per_key
        self._open: Counter[str] = Counter()

    def take(self, request: Request, principal: Principal) -> None:
        """Count a stream until its answer has ended. Raises TooManyStreamsError."""
        self.take_one(request, principal.actor)

    def take_one(self, request: Request, key: str) -> None:
        """Count a stream of this key or user until its answer has ended.

        Raises TooManyStreamsError.
        """
        if not self._max_per_key:
            return
        if self._open[key] >= self._max_per_key:
            raise TooManyStreamsError(
                f"{self._max_per_key} streams of this key are open, which is the limit "
                "(WAYBILL_STREAMS_PER_KEY): end one, or try again."
            )
        self._open[key] += 1
        callbacks: ExitStack = request.scope[_END_CALLBACKS]
        callbacks.callback(self._release, key)

    def _release(self, key: str) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


MAX_CONCURRENT_UPLOADS = 16
"""The most uploads of a workspace at the same time: sizes count only after an upload."""

MINUTE_SECONDS = 60.0


class TooManyUploadsError(RateLimitedError):
    """A workspace has too many uploads."""

    retry_after = RETRY_SECONDS


class UploadLimits:
    """Counts the uploads of workspaces: those of this minute, and those that run."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._under_way: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._since = time.monotonic()

    @contextmanager
    def count(self, workspace_id: str) -> Iterator[None]:
        """Count an upload while the context is open. Raises TooManyUploadsError."""
        if time.monotonic() - self._since >= MINUTE_SECONDS:
            self._begun.clear()
            self._since = time.monotonic()
        if self._per_minute and self._begun[workspace_id] >= self._per_minute:
            raise TooManyUploadsError(
                f"The workspace has begun {self._per_minute} uploads in this minute, which is the "
                "limit (WAYBILL_UPLOADS_PER_MINUTE): wait a moment."
            )
        if self._under_way[workspace_id] >= MAX_CONCURRENT_UPLOADS:
            raise TooManyUploadsError(
                f"{MAX_CONCURRENT_UPLOADS} uploads of the workspace are under way, which is the "
                "limit: let one end first."
            )
        self._begun[workspace_id] += 1
        self._under_way[workspace_id] += 1
        try:
            yield
        finally:
            self._under_way[workspace_id] -= 1
            if not self._under_way[workspace_id]:
                del self._under_way[workspace_id]
