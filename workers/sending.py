"""Know whether the head of a request was written to its connection.

Until then nothing was sent: whatever failed, the provider cannot bill it. aiohttp writes the head
in `ClientRequest.send`, after it has connected and before it waits for an answer.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_on_sent: ContextVar[Callable[[], None] | None] = ContextVar("on_sent", default=None)


class ReportingRequest(aiohttp.ClientRequest):
    """A request that reports when its head has been written."""

    async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
        response = await super().send(conn)
        if (report := _on_sent.get()) is not None:
            report()
        return response


@contextlib.contextmanager
def reporting(on_sent: Callable[[], None]) -> Iterator[None]:
    """Call `on_sent` when a request that is sent inside this block has left."""
    token = _on_sent.set(on_sent)
    try:
        yield
    finally:
        _on_sent.reset(token)
