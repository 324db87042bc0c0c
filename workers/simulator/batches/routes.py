"""Routes of the batch APIs."""

import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from workers.simulator.batches import anthropic, openai
from workers.simulator.batches.store import SimulatedBatch, Store
from workers.simulator.behaviour import BatchFate
from workers.simulator.counters import Counters
from workers.simulator.http import Exchange
from workers.simulator.model_calls import ENDPOINTS
from workers.simulator.wire import RefusedError, Wire

Handler = Callable[[Exchange, Counters], Awaitable[None]]
PATHS: Final = re.compile(
    r"(?:/v1)?/(?P<api>files|batches|messages/batches)(?:/(?P<id>[^/]+))?(?:/(?P<verb>[a-z]+))?"
)
PAGE: Final = 20


class BatchRoutes:
    """The batch APIs of one simulator, with their state."""

    def __init__(self) -> None:
        self._store = Store()

    def at(self, exchange: Exchange) -> Handler | None:
        """Return the handler of this call, if a batch API has one."""
        if exchange.path == "/_batches":
            return self._overview
        match = PATHS.fullmatch(exchange.path)
        if match is None:
            return None
        verbs: dict[tuple[str, str, bool, str | None], Handler] = {
            ("files", "POST", False, None): self._upload,
            ("files", "GET", True, "content"): self._content,
            **self._of("batches"),
            **self._of("messages/batches"),
            ("messages/batches", "GET", True, "results"): self._results,
        }
        key = (match["api"], exchange.method, match["id"] is not None, match["verb"])
        return verbs.get(key)

    def _of(self, api: str) -> dict[tuple[str, str, bool, str | None], Handler]:
        return {
            (api, "POST", False, None): self._create,
            (api, "GET", False, None): self._list,
            (api, "GET", True, None): self._get,
            (api, "POST", True, "cancel"): self._cancel,
        }

    async def _overview(self, exchange: Exchange, _counters: Counters) -> None:
        known = [
            {"id": each.id, "lines": len(each.lines), "cancelled": each.cancelled_at is not None}
            for each in self._store.batches.values()
        ]
        await _answer(exchange, {"batches": known, "files": len(self._store.files)})

    async def _upload(self, exchange: Exchange, _counters: Counters) -> None:
        body = await exchange.body()
        try:
            await _answer(exchange, openai.upload(exchange, body, self._store))
        except RefusedError as error:
            await _refuse(exchange, error)

    async def _content(self, exchange: Exchange, _counters: Counters) -> None:
        content = self._store.files.get(_id(exchange))
        if content is None:
            await _missing(exchange)
            return
        await exchange.answer(200, content, content=b"application/octet-stream")

    async def _create(self, exchange: Exchange, counters: Counters) -> None:
        body = await exchange.body()
        make = anthropic.create if _is_anthropic(exchange) else openai.create
        try:
            batch = make(exchange, body, self._store)
        except RefusedError as error:
            await _refuse(exchange, error)
            return
        if batch.fate is BatchFate.LOSE:
            del self._store.batches[batch.id]
        if batch.fate is BatchFate.MUTE:
            await exchange.stall()
        if batch.fate in {BatchFate.DROP, BatchFate.LOSE}:
            await exchange.reset()
        await _answer(exchange, self._show(batch, counters))

    async def _list(self, exchange: Exchange, counters: Counters) -> None:
        query = parse_qs(exchange.scope["query_string"].decode())
        after = (query.get("after") or query.get("after_id") or [None])[0]
        prefix = "msgbatch_" if _is_anthropic(exchange) else "batch_"
        known = [each for each in self._store.batches.values() if each.id.startswith(prefix)][::-1]
        position = next((n + 1 for n, each in enumerate(known) if each.id == after), 0)
        page = known[position : position + PAGE]
        await _answer(
            exchange,
            {
                "object": "list",
                "data": [self._show(each, counters) for each in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": position + PAGE < len(known),
            },
        )

    async def _get(self, exchange: Exchange, counters: Counters) -> None:
        batch = self._store.batches.get(_id(exchange))
        if batch is None:
            await _missing(exchange)
            return
        await _answer(exchange, self._show(batch, counters))

    async def _cancel(self, exchange: Exchange, counters: Counters) -> None:
        await exchange.body()
        batch = self._store.batches.get(_id(exchange))
        if batch is None:
            await _missing(exchange)
            return
        if not batch.is_over:
            batch.cancelled_at = time.time()
        await _answer(exchange, self._show(batch, counters))

    async def _results(self, exchange: Exchange, counters: Counters) -> None:
        batch = self._store.batches.get(_id(exchange))
        if batch is None:
            await _missing(exchange)
            return
        await exchange.answer(200, anthropic.results(batch, counters))

    def _show(self, batch: SimulatedBatch, counters: Counters) -> dict[str, Any]:
        if batch.id.startswith("msgbatch_"):
            return anthropic.show(batch, counters)
        return openai.show(batch, self._store, counters)


def _is_anthropic(exchange: Exchange) -> bool:
    return "/messages/" in exchange.path


def _wire(exchange: Exchange) -> Wire:
    return ENDPOINTS["/messages" if _is_anthropic(exchange) else "/chat/completions"]


def _id(exchange: Exchange) -> str:
    match = PATHS.fullmatch(exchange.path)
    return match["id"] if match else ""


async def _answer(exchange: Exchange, body: Any, headers: Iterable[Any] = ()) -> None:
    await exchange.answer(200, orjson.dumps(body), headers)


async def _refuse(exchange: Exchange, error: RefusedError) -> None:
    wire = _wire(exchange)
    await exchange.answer(wire.status(error.refusal), wire.refuse(error.refusal))


async def _missing(exchange: Exchange) -> None:
    error = {"message": f"No such object: {_id(exchange)}", "type": "invalid_request_error"}
    await exchange.answer(404, orjson.dumps({"error": error}))
