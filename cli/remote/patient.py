"""An asynchronous client that sits out a server's absence: what a long run needs."""

import asyncio
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from cli.remote.server import Server, message, unreachable

CONNECTIONS = 16  # requests at the same moment, however many jobs are out
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
TRIES_WHEN_BROKEN = 4  # of a request that the server answers with 500
AWAY = frozenset({429, 502, 503, 504})

Told = Callable[[str | None], None]


class PatientClient:
    """Asks a server, again and again while it is away.

    `on_away` is told why when waiting begins, and None when answers come again.
    """

    def __init__(
        self,
        server: Server,
        *,
        patience: float,
        on_away: Told = lambda _: None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server
        self._patience = patience
        self._on_away = on_away
        self._is_away = False
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._http = httpx.AsyncClient(
            base_url=server.api,
            headers=server.headers,
            timeout=httpx.Timeout(30, connect=5),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=not server.is_local,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, **details: Any) -> httpx.Response:
        """Return the server's answer, whatever its status but for those that pass.

        The request may be sent more than once: it must be safe to repeat. Raises ServerError when
        the server stays away for longer than the patience.
        """
        async with self._turns:  # kept while waiting, so that a server that is back is not stormed
            return await self._until_answered(method, path, details)

    async def _until_answered(
        self, method: str, path: str, details: dict[str, Any]
    ) -> httpx.Response:
        give_up_at = time.monotonic() + self._patience
        broken, pause = 0, FIRST_PAUSE_SECONDS
        while True:
            late = time.monotonic() > give_up_at
            try:
                response = await self._http.request(method, path, **details)
            except httpx.TransportError as error:
                trouble = unreachable(self.server, error)
                if late:
                    raise trouble from None
                reason = str(trouble)
            else:
                broken += response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
                if late or not _passes(response, broken):
                    self._tell(None)
                    return response
                reason = message(response)
                pause = max(pause, _asked_pause(response))
            self._tell(reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _tell(self, reason: str | None) -> None:
        if self._is_away != (reason is not None):
            self._is_away = reason is not None
            self._on_away(reason)


def _passes(response: httpx.Response, broken: int) -> bool:
    if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        return broken < TRIES_WHEN_BROKEN
    return response.status_code in AWAY


def _asked_pause(response: httpx.Response) -> float:
    asked = response.headers.get("retry-after", "")
    return min(float(asked), 60.0) if asked.isdecimal() else 0.0
