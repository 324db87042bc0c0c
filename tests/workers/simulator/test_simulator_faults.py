import json
import re
import socket
import time
from contextlib import contextmanager
from threading import Thread

import httpx
import openai
import pytest
import uvicorn

from workers.simulator.behaviour import parse
from workers.simulator.faults import HUGE_BYTES, refusal_due

BOTH = pytest.mark.parametrize("stream", [False, True])


def call(model, text="hi", stream=False):
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


def post(http, model, text="hi", stream=False):
    return http.post("/v1/chat/completions", json=call(model, text, stream))


def raw(simulator, model, stream=False):
    """Send a call over a bare socket and return the socket."""
    body = json.dumps(call(model, stream=stream)).encode()
    connection = socket.create_connection((simulator.host, simulator.port), timeout=10)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: %d\r\n\r\n"
    connection.sendall(head % len(body) + body)
    return connection


@pytest.fixture
def abandons(simulator, until):
    """Wait for a call to start, and for it to end because its client went."""
    until(lambda: simulator.counters.in_flight == 0)  # the last test's call
    before = simulator.counters.abandoned

    @contextmanager
    def abandons():
        until(lambda: simulator.counters.in_flight == 1)
        yield
        until(lambda: simulator.counters.in_flight == 0)
        assert simulator.counters.abandoned == before + 1

    return abandons


def read_to_end(connection):
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("sim-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("sim-500", openai.InternalServerError, None),
        ("sim-503", openai.InternalServerError, "overloaded"),
        ("sim-401", openai.AuthenticationError, "invalid_api_key"),
        ("sim-400", openai.BadRequestError, None),
        ("sim-context", openai.BadRequestError, "context_length_exceeded"),
    ],
)
@BOTH
def test_a_refusal(sdk, model, error, code, stream):
    with pytest.raises(error) as refused:
        sdk.chat.completions.create(**call(model, stream=stream))
    assert refused.value.code == code
    assert refused.value.body["message"]


@pytest.mark.parametrize(
    ("model", "after"),
    [("sim-429-retry3", "3"), ("sim-retry0-503", "0"), ("sim-429", None), ("sim-400-retry3", None)],
)
def test_when_to_come_back(http, model, after):
    assert post(http, model).headers.get("retry-after") == after


def test_the_first_calls_with_a_body_fail(http):
    statuses = [post(http, "sim-fail2", "once upon").status_code for _ in range(4)]
    assert statuses == [500, 500, 200, 200]
    assert post(http, "sim-fail2", "another").status_code == 500


def test_flaky_calls_fail_as_often_as_asked():
    behaviour = parse("sim-flaky30")
    fates = [refusal_due(behaviour, b"%d" % body, 1) for body in range(4000)]
    failed = [refusal.status for refusal in fates if refusal]
    assert 0.27 < len(failed) / len(fates) < 0.33
    assert 0.45 < failed.count(429) / len(failed) < 0.55


def test_a_flaky_call_has_a_fate_that_a_retry_may_change():
    behaviour = parse("sim-flaky50")
    fates = [refusal_due(behaviour, b"body", number) for number in range(1, 30)]
    assert fates == [refusal_due(behaviour, b"body", number) for number in range(1, 30)]
    assert None in fates
    assert any(fates)


def test_always_flaky_is_always_refused(http):
    assert post(http, "sim-flaky100").status_code in (429, 500)
    assert post(http, "sim-flaky0").status_code == 200


@BOTH
def test_a_reset_comes_before_any_byte(simulator, stream):
    with raw(simulator, "sim-reset", stream) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


@BOTH
def test_a_stall_lasts_until_the_client_goes(simulator, abandons, stream):
    connection = raw(simulator, "sim-stall", stream)
    with abandons(), connection:
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_whole_answer_is_cut_in_the_middle(simulator, http):
    head, body = read_to_end(raw(simulator, "sim-cut")).split(b"\r\n\r\n", 1)
    assert b"200 OK" in head
    promised = int(re.search(rb"content-length: (\d+)", head)[1])
    assert len(body) == promised // 2
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        post(http, "sim-cut")


def test_a_stream_is_cut_in_the_middle(simulator, http):
    data = read_to_end(raw(simulator, "sim-cut", stream=True))
    assert b'"content":"You "' in data
    assert b'"finish_reason":"stop"' not in data
    assert not data.endswith(b"0\r\n\r\n")
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        post(http, "sim-cut", stream=True)


@BOTH
def test_half_an_answer_freezes(simulator, abandons, stream):
    connection = raw(simulator, "sim-freeze", stream)
    with abandons(), connection:
        received = b""
        while b"You" not in received:
            received += connection.recv(65536)
        assert b'"finish_reason":"stop"' not in received


@BOTH
def test_garbage_is_html(http, stream):
    answer = post(http, "sim-garbage", stream=stream)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert "<html>" in answer.text


def test_half_a_document_ends_cleanly(http):
    answer = post(http, "sim-half")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_half_a_stream_ends_cleanly(http):
    text = post(http, "sim-half", stream=True).text
    assert text.startswith("data: {")
    assert 'finish_reason":"stop' not in text
    assert "[DONE]" not in text


@BOTH
def test_a_huge_answer_is_huge(simulator, stream):
    with raw(simulator, "sim-huge", stream) as connection:
        read = longest_line = 0
        while read < HUGE_BYTES // 10:
            piece = connection.recv(1 << 20)
            longest_line = max(longest_line, *map(len, piece.split(b"\n\n")))
            read += len(piece)
    assert longest_line > 60_000


def test_an_error_inside_a_stream(sdk):
    received = []
    with pytest.raises(openai.APIError, match="had an error"):
        received.extend(sdk.chat.completions.create(**call("sim-errstream", stream=True)))
    assert "".join(chunk.choices[0].delta.content for chunk in received) == "You wrote “h"


def test_an_error_inside_a_whole_answer(http):
    answer = post(http, "sim-errstream")
    assert (answer.status_code, answer.json()["error"]["type"]) == (200, "server_error")


@pytest.mark.parametrize("model", ["sim-lat80", "sim-lat80-500", "sim-lat80-garbage"])
def test_latency_comes_before_anything(http, model):
    started = time.perf_counter()
    post(http, model)
    assert time.perf_counter() - started >= 0.079


def test_a_stream_is_paced(http):
    started = time.perf_counter()
    post(http, "sim-tok9-chunk10", stream=True)
    assert time.perf_counter() - started >= 0.1


@pytest.mark.parametrize("model", ["sim-lat60000", "sim-tok1000-chunk500"])
def test_a_client_that_goes_frees_its_call(simulator, abandons, model):
    connection = raw(simulator, model, stream=True)
    with abandons(), connection:
        pass


def test_the_simulator_survives_its_faults(simulator, http):
    for model in ("sim-reset", "sim-cut", "sim-garbage", "sim-half"):
        raw(simulator, model).close()
    assert post(http, "sim").status_code == 200


def test_uvicorn_gives_an_application_no_way_to_its_connection():
    """When this fails, the simulator need not extend uvicorn's protocol any more."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/").raise_for_status()
        finally:
            server.should_exit = True
            thread.join()
    assert scopes[0].get("extensions", {}) == {}
