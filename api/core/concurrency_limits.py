"""Count the streams that each key has open in this process."""

from collections import Counter
from contextlib import ExitStack

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.accounts import Principal
from broker.errors import RateLimitedError

_AT_END = "waybill.at_end"
RETRY_SECONDS = 5


class AtEnd:
    """Gives each request a place for what is to be done when its answer has ended, however."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as at_end:
            scope[_AT_END] = at_end
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
        at_end: ExitStack = request.scope[_AT_END]
        at_end.callback(self._give_back, key)

    def _give_back(self, key: str) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
