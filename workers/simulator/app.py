"""The simulator as an ASGI application without a framework."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs

import orjson
import uvicorn

from workers.simulator.batches import BatchRoutes
from workers.simulator.counters import Counters
from workers.simulator.http import (
    BreakableProtocol,
    ClientGoneError,
    Exchange,
    Receive,
    Scope,
    Send,
)
from workers.simulator.image_operations import find_image
from workers.simulator.model_calls import PICTURES, RESPONSES, generate, wire_at
from workers.simulator.openai_shapes import model_list
from workers.simulator.picture_jobs import JobRoutes

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Exchange, Counters], Awaitable[None]]


def create_app(counters: Counters | None = None) -> Application:
    """Return a simulator with its own counters."""
    counted = counters or Counters()
    batches = BatchRoutes()
    pictures = JobRoutes(PICTURES)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        exchange = Exchange(scope, receive, send)
        try:
            wire = wire_at(exchange) if exchange.method == "POST" else None
            if wire is not None:
                await generate(exchange, wire, counted)
            else:
                handler = (
                    ROUTES.get((exchange.method, exchange.path))
                    or batches.at(exchange)
                    or RESPONSES.stored.at(exchange)
                    or pictures.at(exchange)
                )
                await (handler or elsewhere)(exchange, counted)
        except ClientGoneError:
            pass

    return app


async def models(exchange: Exchange, _counters: Counters) -> None:
    await exchange.answer(200, orjson.dumps(model_list()))


async def calls(exchange: Exchange, counters: Counters) -> None:
    query = parse_qs(exchange.scope["query_string"].decode())
    report = counters.report()
    if texts := query.get("body_contains"):
        report["matching"] = counters.calls_containing(texts[0])
    await exchange.answer(200, orjson.dumps(report))


async def reset(exchange: Exchange, counters: Counters) -> None:
    counters.reset()
    await exchange.answer(200, b"{}")


async def elsewhere(exchange: Exchange, _counters: Counters) -> None:
    """Answer with a generated image, or with 404."""
    if exchange.method == "GET" and (image := find_image(exchange.path)):
        await exchange.answer(200, image, content=b"image/png")
        return
    message = f"Invalid URL ({exchange.method} {exchange.path})"
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    await exchange.answer(404, orjson.dumps({"error": error}))


ROUTES: Final[dict[tuple[str, str], Handler]] = {
    ("GET", "/v1/models"): models,
    ("GET", "/models"): models,
    ("GET", "/_calls"): calls,
    ("POST", "/_reset"): reset,
}


def configuration(host: str, port: int, counters: Counters | None = None) -> uvicorn.Config:
    """Return the server's configuration, without which connections cannot be broken."""
    return uvicorn.Config(
        create_app(counters),
        host=host,
        port=port,
        http=BreakableProtocol,
        loop="uvloop",
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than clients keep an idle connection
        timeout_graceful_shutdown=1,  # a stalled call would never end by itself
    )


def serve(host: str = "127.0.0.1", port: int = 9100) -> None:
    """Serve until interrupted."""
    uvicorn.Server(configuration(host, port)).run()
