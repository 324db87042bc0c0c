"""A few bytes that unpack to any number cost no more memory than is allowed."""

import gzip
import time
import tracemalloc
import zlib

import pytest

from broker.completion import CompletionRequest, Failure
from broker.settings import Settings
from tests.workers.upstream.provider_socket import Provider, ask
from workers.adapters.base import HttpRequest
from workers.native_batches import calls
from workers.upstream.client import ProviderClient

MOST = 2_000_000
LARGE = b"\0" * 100_000_000
ONCE = gzip.compress(LARGE, 9)
TWICE = gzip.compress(ONCE, 9)
EMPTY_BLOCKS = gzip.compress(b"\x1f\x8b\x08" + b"\0" * 7 + b"\0\0\0\xff\xff" * 4_000_000, 9)
"""20 MB that unpack to nothing, packed once more."""

BOMBS = {
    "gzip": (ONCE, "gzip"),
    "deflate": (zlib.compress(LARGE, 9), "deflate"),
    "nested gzip": (TWICE, "gzip, gzip"),
    "three times": (gzip.compress(TWICE, 9), "gzip, gzip, gzip"),
    "many members": (gzip.compress(LARGE[:1_000_000]) * 100, "gzip"),
    "nothing out of much": (EMPTY_BLOCKS, "gzip, gzip"),
}
PLAIN = CompletionRequest({"messages": [{"role": "user", "content": "hi"}]}, "m")
STREAMED = CompletionRequest(PLAIN.body, "m", stream=True)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("request_", [PLAIN, STREAMED], ids=["plain", "stream"])
async def test_an_answer_is_unpacked_up_to_its_bound(name: str, request_: CompletionRequest):
    body, coding = BOMBS[name]
    kind = "text/event-stream" if request_.stream else "application/json"
    provider = Provider([f"content-type: {kind}", f"content-encoding: {coding}"], [body])
    async with provider.serving() as address:
        tracemalloc.start()
        before, began = tracemalloc.get_traced_memory()[0], time.monotonic()
        called = await ask(address, "openai", request_, most=MOST)
        grown = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    assert isinstance(called.answer, Failure)
    assert grown < 5 * MOST, f"{grown} bytes after {time.monotonic() - began:.1f} s"


@pytest.mark.parametrize("name", ["nested gzip", "gzip"])
async def test_a_batch_file_is_unpacked_line_by_line(name: str) -> None:
    body, coding = BOMBS[name]
    provider = Provider([f"content-encoding: {coding}"], [body])
    wire = ProviderClient(Settings())
    async with provider.serving() as address:
        request = HttpRequest(address, {"content-length": "0"}, b"", method="GET")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(calls.UnconfirmedCallError, match="a line of more than"):
            async for _ in calls.lines(wire.client, request, max_bytes=MOST):
                pass
        grown = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    await wire.aclose()
    assert grown < 5 * MOST


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("gzip, deflate", lambda body: zlib.compress(gzip.compress(body))),
        ("gzip", lambda body: gzip.compress(body[:70_000]) + gzip.compress(body[70_000:])),
        ("gzip", lambda body: gzip.compress(body) + b"\0\0"),
        ("identity", bytes),
    ],
    ids=["gzip", "zlib", "raw deflate", "twice", "two members", "padding", "none"],
)
async def test_what_is_packed_arrives_whole(coding: str, packed) -> None:
    body = b"".join(b"%d " % number for number in range(50_000)) + b"\n"
    content = packed(body)
    pieces = [content[start : start + 997] for start in range(0, len(content), 997)]
    provider = Provider([f"content-encoding: {coding}"], pieces)
    wire = ProviderClient(Settings())
    async with provider.serving() as address:
        request = HttpRequest(address, {"content-length": "0"}, b"", method="GET")
        assert await calls.fetch(wire.client, request) == body
    await wire.aclose()
