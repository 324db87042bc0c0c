"""A client that waits while the server is away, for commands that watch for hours."""

import random
import time
from collections.abc import Callable
from typing import IO, Any, TypeVar

import httpx

from cli.client.client import Client
from cli.client.server import Server, ServerError

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
TRIES_WHEN_BROKEN = 4  # of a request that the server answers with 500

Answer = TypeVar("Answer")
OnAway = Callable[[str | None], None]


class RetryingClient(Client):
    """Asks a server, again and again while it is away.

    A request may be sent more than once: it must be safe to repeat. `on_away` is told why when
    waiting begins, and None when answers come again. A ServerError is raised at once for what does
    not pass, and else after `patience` seconds.
    """

    def __init__(
        self,
        server: Server,
        *,
        patience: float,
        on_away: OnAway = lambda _: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(server, transport)
        self._patience = patience
        self._on_away = on_away

    def download(self, path: str, file: IO[bytes]) -> None:
        ask = super().download
        self._patiently(lambda: ask(path, file))

    def _answer(self, method: str, path: str, **details: Any) -> httpx.Response:
        ask = super()._answer
        return self._patiently(lambda: ask(method, path, **details))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        give_up_at = time.monotonic() + self._patience
        broken, pause, is_away = 0, FIRST_PAUSE_SECONDS, False
        while True:
            try:
                answer = ask()
            except ServerError as error:
                broken += error.status == httpx.codes.INTERNAL_SERVER_ERROR
                is_late = time.monotonic() > give_up_at
                if not error.is_passing or broken == TRIES_WHEN_BROKEN or is_late:
                    raise
                if not is_away:
                    self._on_away(str(error))
                    is_away = True
                pause = max(pause, error.pause)
            else:
                if is_away:
                    self._on_away(None)
                return answer
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
