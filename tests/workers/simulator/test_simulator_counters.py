import asyncio
import socket
import subprocess
import sys

import httpx
import pytest

from workers.simulator.app import create_app
from workers.simulator.counters import Counters


def post(http, text, model="sim"):
    call = {"model": model, "messages": [{"role": "user", "content": text}]}
    return http.post("/v1/chat/completions", json=call)


@pytest.fixture(autouse=True)
def forget(http):
    http.post("/_reset")


def test_calls_are_counted(http):
    for model in ("sim", "sim", "sim-500", "bogus"):
        post(http, "a harbour", model)
    report = http.get("/_calls").json()
    assert report["total"] == 4
    assert report["by_model"] == {"sim": 2, "sim-500": 1, "bogus": 1}
    assert report["in_flight"] == 0
    assert report["peak_in_flight"] == 1
    assert report["most_calls_of_one_body"] == 2
    assert sum(calls for _, calls in report["per_second"]) == 4


def test_the_calls_of_a_prompt_are_counted(http):
    for text in ("red ship", "red ship", "blue ship"):
        post(http, text)
    counts = {
        text: http.get("/_calls", params={"body_contains": text}).json()["matching"]
        for text in ("red ship", "blue ship", "ship", "green")
    }
    assert counts == {"red ship": 2, "blue ship": 1, "ship": 3, "green": 0}


def test_reading_the_counters_counts_nothing(http):
    http.get("/_calls")
    http.get("/v1/models")
    assert http.get("/_calls").json()["total"] == 0


def test_an_unreadable_call_is_counted(http):
    http.post("/v1/chat/completions", content=b"{")
    assert http.get("/_calls").json()["by_model"] == {"(unreadable)": 1}


async def test_the_peak_is_what_was_in_flight_together(simulator, http, until):
    async with httpx.AsyncClient(base_url=f"http://{simulator.host}:{simulator.port}") as client:
        calls = [asyncio.create_task(post(client, str(n), "sim-stall")) for n in range(8)]
        await asyncio.to_thread(until, lambda: simulator.counters.in_flight == 8)
        await client.post("/_reset")
        assert simulator.counters.peak_in_flight == 8
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    await asyncio.to_thread(until, lambda: simulator.counters.in_flight == 0)
    assert http.get("/_calls").json()["abandoned"] == 8


def test_the_oldest_bodies_make_room():
    counters = Counters(remembered_bytes=10)
    assert [counters.enter("sim", body) for body in (b"12345", b"12345", b"67890")] == [1, 2, 1]
    assert counters.dropped == 0
    counters.enter("sim", b"x")
    assert counters.dropped == 2
    assert counters.calls_containing("67890") == 1
    assert counters.enter("sim", b"12345") == 1


async def test_it_runs_in_process_too():
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
        assert (await post(client, "hello")).json()["usage"]["prompt_tokens"] == 2
        with pytest.raises(ConnectionResetError):
            await post(client, "hello", "sim-reset")


def test_it_runs_as_a_program(until):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    program = [sys.executable, "-m", "workers.simulator", "--port", port]
    with subprocess.Popen(program) as process:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/v1/models"))
        finally:
            process.terminate()


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.ConnectError:
        return False
