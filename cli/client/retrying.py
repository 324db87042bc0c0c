"""A client that waits while the server does not answer, for commands that run for hours."""

import random
import time
from collections.abc import Callable
from typing import IO, Any, TypeVar

import httpx

from cli.client.client import Client
from cli.client.server import Server, ServerError

FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 5.0
MAX_INTERNAL_ERRORS = 4  # of a request that the server answers with 500

Answer = TypeVar("Answer")
OnOutage = Callable[[str | None], None]


class RetryingClient(Client):
    """A client that repeats a request while the server does not answer.

    A request may be sent more than once, so it must be safe to repeat. `on_outage` receives the
    reason when waiting begins, and None when the server answers again. A permanent ServerError is
    raised at once, a temporary one after `timeout` seconds.
    """

    def __init__(
        self,
        server: Server,
        *,
        timeout: float,
        on_outage: OnOutage = lambda _: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(server, transport)
        self._timeout = timeout
        self._on_outage = on_outage

    def download(self, path: str, file: IO[bytes]) -> None:
        call = super().download
        self._retry(lambda: call(path, file))

    def _request(self, method: str, path: str, **details: Any) -> httpx.Response:
        call = super()._request
        return self._retry(lambda: call(method, path, **details))

    def _retry(self, call: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self._timeout
        failures, pause, is_waiting = 0, FIRST_PAUSE_SECONDS, False
        while True:
            try:
                answer = call()
            except ServerError as error:
                failures += error.status == httpx.codes.INTERNAL_SERVER_ERROR
                is_late = time.monotonic() > deadline
                if not error.is_passing or failures == MAX_INTERNAL_ERRORS or is_late:
                    raise
                if not is_waiting:
                    self._on_outage(str(error))
                    is_waiting = True
                pause = max(pause, error.pause)
            else:
                if is_waiting:
                    self._on_outage(None)
                return answer
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
