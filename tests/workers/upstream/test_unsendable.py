"""A request whose head cannot be written was never sent, whatever is wrong with it."""

import asyncio
import socket

import pytest
from aiohttp import web

from broker.completion import AttemptOutcome, CompletionRequest, Failure
from broker.settings import Settings
from workers.adapters.base import Upstream
from workers.adapters.registry import ADAPTERS
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import ProviderClient, call
from workers.upstream.provider_call import ProviderCall

BODY = {"messages": [{"role": "user", "content": "x"}]}
KEY = "sk-nl-secret-0123456789"


async def attempt(upstream, *, seconds=5.0):
    wire = ProviderClient(Settings(connect_timeout_seconds=seconds))
    watch = Stopwatch(Deadlines(seconds, seconds, seconds))
    try:
        answer = await call(
            ProviderCall(
                wire.send,
                ADAPTERS[upstream.wire],
                CompletionRequest(BODY, "m"),
                upstream,
                watch,
                max_bytes=10_000,
                on_headers=lambda *_: None,
                assembly=Assembly(lambda _: None),
            )
        )
    finally:
        await wire.aclose()
    return answer, watch


async def at_a_server(handler, **fields):
    """Make one attempt at a server that answers with `handler`; return its calls beside it."""
    calls = []

    async def handle(request):
        calls.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        answer, watch = await attempt(
            Upstream(**{"slug": "nl", "base_url": f"http://127.0.0.1:{port}/v1", **fields}),
            seconds=1.0,
        )
    finally:
        await runner.cleanup()
    return answer, watch, calls


async def silent(_request):
    await asyncio.sleep(30)
    return web.Response()


async def broken(_request):
    return web.Response(text="[1, 2", content_type="application/json")


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini", "cohere", "mistral"])
@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}\r\nx-more: 1"},
        {"api_key": f"{KEY}\u2026"},
        {"api_key": "k", "headers": {"x-a": f"{KEY}\n"}},
        {"api_key": "k", "headers": {"x-a": f"{KEY}\ud800"}},
        {"api_key": "k", "headers": {"x-a": 7}},
    ],
)
def test_a_head_that_cannot_be_written_was_not_sent(wire, fields):
    answer, watch, calls = asyncio.run(at_a_server(broken, wire=wire, **fields))
    assert calls == []
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.NOT_SENT
    assert not watch.sent
    assert KEY not in answer.message


def test_a_server_that_was_asked_and_stays_silent_may_have_served():
    answer, watch, calls = asyncio.run(at_a_server(silent))
    assert len(calls) == 1
    assert (answer.outcome, watch.sent) == (AttemptOutcome.UNKNOWN, True)


def test_an_answer_that_cannot_be_read_was_asked_for():
    answer, watch, calls = asyncio.run(at_a_server(broken))
    assert len(calls) == 1
    assert (answer.outcome, watch.sent) == (AttemptOutcome.UNKNOWN, True)


def test_a_connection_that_is_never_made_sends_nothing():
    """A listener whose queue is full neither accepts nor refuses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        answer, watch = asyncio.run(
            attempt(Upstream("nl", f"http://127.0.0.1:{port}/v1"), seconds=0.5)
        )
        for each in held:
            each.close()
    assert (answer.outcome, watch.sent) == (AttemptOutcome.NOT_SENT, False)
