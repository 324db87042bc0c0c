"""The load generator and its provider agree on what a whole answer is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from tests.benchmarks.load import Crew, Request, load
from tests.benchmarks.upstream import Upstream

BODY = {"model": "bench/echo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"


@pytest.mark.parametrize("stream", [False, True])
async def test_as_many_calls_are_made_as_were_requested(url, stream):
    result = await load(url, "any", BODY | {"stream": stream}, callers=3, calls=20)
    assert (len(result.latencies_ms), result.failures) == (20, 0)
    assert result.latencies_ms == sorted(result.latencies_ms)


async def test_an_answer_that_is_not_whole_is_a_failure(url):
    # Given callers who expect a stream's end
    streamed = Request.post(url, orjson.dumps(BODY | {"stream": True}), {})
    plain = Request.post(url, orjson.dumps(BODY), {})
    crew = Crew([replace(plain, is_whole=streamed.is_whole)], iter(range(5)))
    # When they get a plain answer
    await crew.run(2)
    # Then each call failed
    assert (len(crew.latencies_ms), crew.failures) == (5, 5)


async def test_a_connection_that_ends_without_an_answer_is_a_failure():
    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        result = await load(url, "any", BODY, callers=2, calls=4)
    assert (len(result.latencies_ms), result.failures) == (4, 4)


async def test_stopped_callers_end_after_their_present_call(url):
    crew = Crew([Request.post(url, orjson.dumps(BODY), {})])
    calls = asyncio.create_task(crew.run(4))
    while len(crew.latencies_ms) < 10:
        await asyncio.sleep(0)
    crew.stop()
    await calls
    assert crew.failures == 0
