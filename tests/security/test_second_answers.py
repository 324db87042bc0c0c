"""A second answer on a kept connection never reaches the next request, perhaps a stranger's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from broker.completion import AttemptOutcome, Completion, CompletionRequest, Failure
from broker.settings import Settings
from tests.workers.upstream.provider_socket import ask
from workers.upstream.client import ProviderClient

REQUEST = CompletionRequest({"messages": [{"role": "user", "content": "hi"}]}, "m")


def answer(text: str) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    body = orjson.dumps(
        {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    )
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Doubling:
    """A provider that sends each of these on the first connection, request by request."""

    first: Sequence[Sequence[bytes]]  # what a request gets, in pieces
    connections: int = 0
    sent_late: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        script = iter(self.first if self.connections == 1 else ())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                [length] = [
                    int(line.partition(b":")[2])
                    for line in head.splitlines()
                    if line.lower().startswith(b"content-length")
                ]
                await reader.readexactly(length)
                for piece in next(script, [answer("honest")]):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.02)
                self.sent_late.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def asked(address: str, wire: ProviderClient) -> Completion | Failure:
    found = (await ask(address, "openai", REQUEST, transport=wire)).answer
    assert isinstance(found, Completion | Failure)
    return found


def text(found: Completion | Failure) -> str:
    assert isinstance(found, Completion), found
    return str(found.choices[0]["message"]["content"])


@pytest.mark.parametrize(
    "pieces",
    [
        [answer("yours") + answer("STRANGER")],
        [answer("yours"), answer("STRANGER")],
        [answer("yours"), b"garbage"],
    ],
    ids=["at once", "while nobody asks", "garbage"],
)
async def test_what_came_before_a_request_is_not_its_answer(pieces: list[bytes]) -> None:
    provider, wire = Doubling([pieces]), ProviderClient(Settings())
    async with provider.serving() as address:
        with capture_logs() as lines:
            assert text(await asked(address, wire)) == "yours"
            await provider.sent_late.wait()
            await asyncio.sleep(0.05)
            found = await asked(address, wire)
        if isinstance(found, Failure):  # told as never sent: it costs nothing and is tried again
            assert found.outcome is AttemptOutcome.NOT_SENT
            assert [line for line in lines if line["event"] == "upstream.second_answer"]
            found = await asked(address, wire)
        assert text(found) == "honest"
        assert provider.connections == 2
    await wire.aclose()


async def test_two_answers_to_a_request_on_a_kept_connection_are_nobodys() -> None:
    provider = Doubling([[answer("yours")], [answer("STRANGER") + answer("second")]])
    wire = ProviderClient(Settings())
    async with provider.serving() as address:
        assert text(await asked(address, wire)) == "yours"
        found = await asked(address, wire)
        assert isinstance(found, Failure)
        assert found.outcome is AttemptOutcome.UNKNOWN
        assert "two answers" in found.message
        assert text(await asked(address, wire)) == "honest"
        assert provider.connections == 2
    await wire.aclose()


async def test_a_connection_is_kept_where_each_request_has_one_answer() -> None:
    provider, wire = Doubling([[answer(f"{n}")] for n in range(5)]), ProviderClient(Settings())
    async with provider.serving() as address:
        assert [text(await asked(address, wire)) for _ in range(5)] == list("01234")
        assert provider.connections == 1
    await wire.aclose()


async def test_aiohttp_alone_reads_a_late_answer_as_the_next_requests() -> None:
    """When this fails, `workers.upstream.connection` need not look into aiohttp any more."""
    provider = Doubling([[answer("yours"), answer("STRANGER")]])
    async with provider.serving() as address, aiohttp.ClientSession() as session:
        for expected in (b"yours", b"STRANGER"):
            async with session.post(address, data=b"{}") as response:
                assert expected in await response.read()
            await provider.sent_late.wait()
