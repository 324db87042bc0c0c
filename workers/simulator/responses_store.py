"""Responses that run in the background, and the routes that read and cancel them."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from workers.simulator.counters import Counters
from workers.simulator.http import ClientGoneError, Exchange
from workers.simulator.wire import EVENT_STREAM

Object = dict[str, Any]
Handler = Callable[[Exchange, Counters], Awaitable[None]]
REMEMBERED: Final = 1_000
STREAM_SECONDS = 300.0  # for which a stream can be continued
OPENING: Final = 3  # events that come at once: queued, created, in progress
PATHS: Final = re.compile(r"(?:/openai)?(?:/v1)?/responses/(?P<id>[^/]+)(?:/(?P<verb>[a-z]+))?")


@dataclass(slots=True)
class StoredResponse:
    """A response in the background: its end is known, but it takes its time."""

    whole: Object
    events: list[bytes]
    latency_ms: int
    chunk_ms: int
    begun: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False

    @property
    def id(self) -> str:
        return str(self.whole["id"])

    def wait_ms(self, number: int) -> int:
        """Return the milliseconds until an event has happened."""
        late = max(number - OPENING + 1, 0)
        due = (self.latency_ms if late else 0) + self.chunk_ms * late
        return max(0, int(due - (time.monotonic() - self.begun) * 1000))

    def now(self) -> Object:
        """Return the response as it is now."""
        if self.is_cancelled:
            return self.whole | {"status": "cancelled", "output": [], "usage": None}
        if not self.wait_ms(len(self.events) - 1):
            return self.whole
        status = "queued" if self.wait_ms(OPENING) else "in_progress"
        begun = self.whole | {"status": status, "output": [], "usage": None}
        return begun | {"incomplete_details": None}

    async def follow(self, exchange: Exchange, after: int) -> None:
        """Write the events after a number, each when it happens."""
        await exchange.begin(content=EVENT_STREAM)
        for number in range(after + 1, len(self.events)):
            await exchange.pause(self.wait_ms(number))
            if self.is_cancelled:
                break
            await exchange.write(self.events[number])
        await exchange.end()


class ResponseStore:
    """The stored responses, newest last."""

    def __init__(self) -> None:
        self._responses: dict[str, StoredResponse] = {}

    def add(self, response: StoredResponse) -> StoredResponse:
        if len(self._responses) >= REMEMBERED:
            del self._responses[next(iter(self._responses))]
        self._responses[response.id] = response
        return response

    def at(self, exchange: Exchange) -> Handler | None:
        """Return the handler of a call about a stored response, or None for another call."""
        match = PATHS.fullmatch(exchange.path)
        if match is None:
            return None
        response = self._responses.get(match["id"])
        route = (exchange.method, match["verb"])
        if route not in ROUTES:
            return None

        async def handle(exchange: Exchange, counters: Counters) -> None:
            if response is None:
                await _refuse(exchange, 404, f"Response with id '{match['id']}' not found.")
            else:
                await ROUTES[route](response, exchange, counters)

        return handle


async def _get(response: StoredResponse, exchange: Exchange, counters: Counters) -> None:
    query = parse_qs(exchange.scope["query_string"].decode())
    counters.retrieved += 1
    if query.get("stream") != ["true"]:
        await exchange.answer(200, orjson.dumps(response.now()))
        return
    if time.monotonic() - response.begun > STREAM_SECONDS:
        await _refuse(exchange, 400, "Response cannot be streamed: it is more than 5 minutes old.")
        return
    after = int(query.get("starting_after", ["-1"])[0])
    try:
        await response.follow(exchange, after)
    except ClientGoneError:
        counters.abandoned += 1


async def _cancel(response: StoredResponse, exchange: Exchange, counters: Counters) -> None:
    counters.cancelled += 1
    if response.wait_ms(len(response.events) - 1):
        response.is_cancelled = True
    await exchange.answer(200, orjson.dumps(response.now()))


ROUTES: Final = {("GET", None): _get, ("POST", "cancel"): _cancel}


async def _refuse(exchange: Exchange, status: int, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    await exchange.answer(status, orjson.dumps({"error": error}))
