"""Callers that stop in the middle are let go; callers that wait for an answer are not."""

import asyncio
import contextlib
import shutil

import httpx
import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from api.core import connection_limits, middleware
from api.core.connection_limits import PromptProtocol
from cli.start import parts
from tests.api.conftest import ORIGIN

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
HALF_A_FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'


async def stalling(start: bytes):
    yield start
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("path", "start", "headers"),
    [
        ("/chat/completions", b'{"model":', {}),
        ("/jobs", b'{"model":', {}),
        ("/files", HALF_A_FORM, FORM),
    ],
)
async def test_a_body_that_stalls_is_given_up(api, monkeypatch, path, start, headers):
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)
    answer = await api.ask("POST", path, api.key(), content=stalling(start), headers=headers)
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"
    assert "in the middle" in answer.text
    files = api.app.state.services.settings.data_dir / "files"
    assert not [each for each in files.rglob("*") if each.is_file()]


async def test_who_waits_for_an_answer_is_not_given_up(monkeypatch):
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.0)
    gone = asyncio.Event()
    messages = iter([{"type": "http.request", "body": b"x", "more_body": False}])

    async def receive():
        with contextlib.suppress(StopIteration):
            return next(messages)
        await gone.wait()
        return {"type": "http.disconnect"}

    async def app(scope, receive, send):
        assert (await receive())["body"] == b"x"
        asyncio.get_running_loop().call_later(0.05, gone.set)
        assert (await receive())["type"] == "http.disconnect"

    await middleware.StalledBodies(app)({"type": "http"}, receive, None)
    assert gone.is_set()


async def test_who_hangs_up_in_the_middle_leaves_one_line(api):
    messages = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def hang_up(scope, _, send):
        async def receive():
            return next(messages)

        await api.app(scope, receive, send)

    with capture_logs() as lines:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(hang_up)) as http:
            headers = {"Authorization": f"Bearer {api.key()}"}
            await http.post(f"{ORIGIN}/api/v1/chat/completions", headers=headers)
    told = [line for line in lines if line["event"].startswith("api.")]
    assert told == [
        {"event": "api.caller_hung_up", "path": "/api/v1/chat/completions", "log_level": "info"}
    ]


@pytest.fixture
async def server(monkeypatch):
    """A server whose answers end when they are told to."""
    monkeypatch.setattr(connection_limits, "HEADER_SECONDS", 0.1)
    finish = asyncio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        if scope["path"] == "/slow":
            await finish.wait()
        await send({"type": "http.response.body", "body": b"end"})

    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=60)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: PromptProtocol(config, ServerState(), {}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1], finish


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"\r\n"],
    ids=["nothing", "half a line", "half a head", "an empty line"],
)
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["new", "kept"])
async def test_a_request_that_does_not_come_is_not_waited_for(server, before, start):
    port, _ = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(before)
    if before:
        await reader.readuntil(b"0\r\n\r\n")
    writer.write(start)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_an_open_answer_is_not_cut(server):
    port, finish = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"begin\r\n")
    late, _ = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(late.read(), 10) == b""  # one that came later has been closed
    finish.set()
    assert b"end" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
    writer.close()


def test_the_api_is_served_so(monkeypatch, migrated, tmp_path):
    shutil.copy(migrated, tmp_path / "waybill.db")
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    served = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **more: served.update(more))
    monkeypatch.setattr(parts, "_loading", contextlib.nullcontext)
    monkeypatch.setattr("broker.logs.configure_logging", lambda: None)
    parts.api(host="127.0.0.1", port=1)
    assert served["http"] is PromptProtocol
