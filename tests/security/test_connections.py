"""Connections that ask too much, or only take up room, are ended."""

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.server import ServerState

from api.core import connection_limits
from api.core.connection_limits import PromptProtocol, most_connections

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1_000_000


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server whose answers have 20 MB, in pieces, under /large; nothing else."""

    async def app(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20 if scope["path"] == "/large" else 0):
            await send({"type": "http.response.body", "body": b"x" * MEGABYTE, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=60)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: PromptProtocol(config, state, {}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def exchanged(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read(4_000))
    try:
        for piece in pieces:
            if answer.done():
                break
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return await answer
    except ConnectionError:
        return b"" if not answer.done() or answer.exception() else answer.result()
    finally:
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"X-Large: " + b"a" * 70_000 + b"\r\n\r\n"],
        [HEAD, b"X-Endless: ", *[b"a" * 8_000] * 200],
        [HEAD, *[b"X-Many: " + b"a" * 1_000 + b"\r\n"] * 100, b"\r\n"],
        [b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
    ],
    ids=["one large", "one without an end", "many", "path"],
)
async def test_a_head_over_64_kb_is_refused(port: int, pieces: list[bytes]) -> None:
    answer = await exchanged(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
    assert b'"code":431' in answer


async def test_a_head_under_64_kb_is_read(port: int) -> None:
    answer = await exchanged(port, HEAD + b"X-Large: " + b"a" * 60_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_trailers_without_an_end_close_the_connection(port: int) -> None:
    assert await exchanged(port, POST, b"0\r\nX: ", *[b"a" * 8_000] * 200) == b""


async def test_a_body_larger_than_a_head_may_be_is_read(port: int) -> None:
    chunk = b"2710\r\n" + b"a" * 10_000 + b"\r\n"
    answer = await exchanged(port, POST, *[chunk] * 20, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_reader_that_does_not_read_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "WRITE_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readexactly(4)
    writer.transport.pause_reading()
    await asyncio.sleep(1)
    writer.transport.resume_reading()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(10):
            await reader.readexactly(20 * MEGABYTE)
    writer.close()


async def test_a_reader_that_reads_slowly_is_not(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "WRITE_SECONDS", 1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    got = 0
    async with asyncio.timeout(60):
        while got < 20 * MEGABYTE:
            got += len(await reader.read(1 << 20))
            await asyncio.sleep(0.05)
    writer.close()


async def test_idle_connections_make_room_for_new_ones(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptProtocol, "most", 3)
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    answer = await exchanged(port, HEAD + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    async with asyncio.timeout(10):  # the one that was idle longest
        assert await ended(opened[0][0])
    for _, writer in opened:
        writer.close()


def test_there_are_fewer_connections_than_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    assert most_connections() == 1_024 - connection_limits.SPARE_FILES
