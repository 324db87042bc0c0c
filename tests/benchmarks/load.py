"""A closed-loop load generator: so many callers, each waiting for its answer before the next call.

It works on the connections directly, because it shares a core with what it measures against.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import cast
from urllib.parse import urlsplit

import httptools
import orjson


@dataclass(frozen=True)
class Request:
    """A request as it is sent, and the check of its answer."""

    host: str
    port: int
    data: bytes
    is_whole: Callable[[bytes], bool]

    @classmethod
    def post(cls, url: str, body: bytes, headers: Mapping[str, str]) -> "Request":
        """Build a POST of a JSON body; the answer must be a completion or a stream with an end."""
        parts = urlsplit(url)
        lines = [
            f"POST {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        is_whole = _is_whole_stream if orjson.loads(body).get("stream") else _is_whole_answer
        return cls(parts.hostname or "", parts.port or 80, data, is_whole)


_LAST_EVENTS = (b"event: response.completed\n", b"event: message_stop\n")
"""The last events of streams in the dialects."""


def _is_whole_stream(text: bytes) -> bool:
    return text.rstrip().endswith(b"[DONE]") or any(end in text for end in _LAST_EVENTS)


def _is_whole_answer(text: bytes) -> bool:
    return b'"usage"' in text


@dataclass(frozen=True)
class Result:
    """The measurements of one run of load."""

    latencies_ms: list[float]  # sorted
    seconds: float
    failures: int

    @property
    def rate(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies_ms[
            min(int(len(self.latencies_ms) * share), len(self.latencies_ms) - 1)
        ]


async def load(url: str, key: str, body: dict, *, callers: int, calls: int) -> Result:
    """Make `calls` calls with `callers` at once; anything but a whole 200 counts as a failure."""
    request = Request.post(url, orjson.dumps(body), {"Authorization": f"Bearer {key}"})
    crew = Crew([request], iter(range(calls)))
    began = time.perf_counter()
    await crew.run(callers)
    seconds = time.perf_counter() - began
    return Result(sorted(crew.latencies_ms), seconds, crew.failures)


class Crew:
    """Callers that send these requests in turn, until the tickets are used up or `stop` is called.

    All requests go to the same address.
    """

    def __init__(
        self, requests: Sequence[Request], tickets: Iterator[object] | None = None
    ) -> None:
        self.requests = cycle(requests)
        self.latencies_ms: list[float] = []  # of all calls, in the order of their ends
        self.failures = 0
        self._address = requests[0].host, requests[0].port
        self._tickets = repeat(None) if tickets is None else tickets
        self._stopping = False

    async def run(self, callers: int) -> None:
        """Make calls. Raises OSError where nothing accepts the connection."""
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call())

    def stop(self) -> None:
        """Let every caller end after its present call."""
        self._stopping = True

    def take_ticket(self) -> bool:
        """Return whether there is another call to make."""
        return not self._stopping and next(self._tickets, self) is not self

    def record(self, began: float, *, failed: bool) -> None:
        self.latencies_ms.append((time.perf_counter() - began) * 1000)
        self.failures += failed

    async def _call(self) -> None:
        """Make calls over one connection after another, as often as the server closes them."""
        loop = asyncio.get_running_loop()
        while self.take_ticket():
            _, caller = await loop.create_connection(lambda: Caller(self), *self._address)
            await caller.closed


class Caller(asyncio.Protocol):
    """One connection of a caller, which was given a ticket for its first call."""

    transport: asyncio.Transport

    def __init__(self, crew: Crew) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crew = crew
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._request = next(crew.requests)
        self._began: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        assert self._began is not None  # no answer without a question
        status, text = self._parser.get_status_code(), b"".join(self._body)
        failed = status != 200 or not self._request.is_whole(text)
        self._crew.record(self._began, failed=failed)
        self._began = None
        self._body.clear()
        if self._parser.should_keep_alive() and self._crew.take_ticket():
            self._request = next(self._crew.requests)
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._began is not None:  # without an answer
            self._crew.record(self._began, failed=True)
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._began = time.perf_counter()
        self.transport.write(self._request.data)
