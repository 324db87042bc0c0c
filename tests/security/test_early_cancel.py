"""Attack: have a model reason at length, then end the call before its bill arrives."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from tests.installation import Installation

BILLED = {
    "prompt_tokens": 10,
    "completion_tokens": 1_000,
    "completion_tokens_details": {"reasoning_tokens": 998},
}
COST = 1_000 * 10 / 10**6  # dollars
HELD = 4_000 * 10 / 10**6


class Vendor(BaseHTTPRequestHandler):
    """A provider that says two words, and then what its reasoning costs, or nothing any more."""

    protocol_version = "HTTP/1.1"
    go_on: threading.Event

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        way = body["model"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self._say({"choices": [{"index": 0, "delta": {"content": "two words"}}]})
        if way == "silent":
            self.go_on.wait(20)
            return
        if way == "cut":
            return
        self.go_on.wait(20)
        self._say({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._say({"choices": [], "usage": BILLED})
        self.wfile.write(b"data: [DONE]\n\n")

    def _say(self, chunk: Any) -> None:
        self.wfile.write(b"data: " + orjson.dumps({"id": "c1"} | chunk) + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def go_on() -> threading.Event:
    Vendor.go_on = threading.Event()
    return Vendor.go_on


@pytest.fixture(scope="module")
def own_installation() -> Iterator[Installation]:
    Vendor.go_on = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        tables = [f'[[providers]]\nslug = "vendor"\nwire = "openai"\nbase_url = "{address}"\n']
        tables.append('api_key = "any"\n')
        for name in ("hidden", "silent", "cut", "plain"):
            more = ', supported_parameters = ["temperature"]' if name == "plain" else ""
            tables.append(
                f'[[models]]\nslug = "maker/{name}"\nmax_completion_tokens = 4000\n'
                f'endpoints = [{{ provider = "vendor", model = "{name}", prompt = "0", '
                f'completion = "10"{more} }}]\n'
            )
        with Installation(
            {"WAYBILL_CANCEL_DRAIN_SECONDS": "2"}, config="".join(tables)
        ) as own_installation:
            yield own_installation
            Vendor.go_on.set()
            own_installation.await_idle()
            own_installation.audit()
        server.shutdown()


def begun(own_installation: Installation, name: str, **wish: object) -> str:
    """Submit a streamed job; return once its first words were told."""
    message = {"role": "user", "content": f"Think hard: {time.monotonic()}"}
    body = {"model": f"maker/{name}", "messages": [message], "stream": True}
    answer = own_installation.http.post("/jobs", json={"body": body, **wish})
    job_id = str(answer.json()["id"])
    with own_installation.http.stream("GET", f"/jobs/{job_id}/events", timeout=30) as events:
        assert any("two words" in line for line in events.iter_lines())
    return job_id


def cancelled(
    own_installation: Installation, job_id: str, then: Callable[[], None], **choice: str
) -> dict[str, Any]:
    answer = own_installation.http.post(f"/jobs/{job_id}/cancel", params=choice)
    assert answer.status_code == 202, answer.text
    awaits = choice.get("await_usage") != "false"
    assert answer.json()["cancellation"] == {"await_usage": awaits, "seconds": 2 * awaits}
    then()
    job = own_installation.await_job(job_id)
    assert job["status"] == "cancelled"
    assert "response" not in job or job["response"] is None
    return job


def test_reasoning_that_was_not_shown_is_paid_by_the_providers_own_count(own_installation, go_on):
    job = cancelled(own_installation, begun(own_installation, "hidden"), go_on.set)
    assert job["usage"]["cost"] == COST
    assert job["usage"]["cost_basis"] == "provider"
    assert job["usage"]["completion_tokens_details"]["reasoning_tokens"] == 998


@pytest.mark.parametrize("choice", [{}, {"await_usage": "false"}])
def test_where_no_usage_comes_the_hold_is_paid(own_installation, go_on, choice):
    job = cancelled(own_installation, begun(own_installation, "silent"), lambda: None, **choice)
    assert job["usage"]["cost"] == pytest.approx(HELD, rel=0.01)
    assert job["usage"]["cost_basis"] == "hold"


def test_who_does_not_wait_for_the_usage_is_not_kept_waiting(own_installation, go_on):
    job_id = begun(own_installation, "hidden")
    job = cancelled(own_installation, job_id, lambda: None, await_usage="false")
    assert job["usage"]["cost_basis"] == "hold"


def test_a_second_cancellation_does_not_cut_the_wait_short(own_installation, go_on):
    job_id = begun(own_installation, "hidden")
    own_installation.http.post(f"/jobs/{job_id}/cancel")
    job = cancelled(own_installation, job_id, go_on.set)
    assert job["usage"]["cost"] == COST


def test_a_model_that_does_not_reason_costs_what_was_shown(own_installation, go_on):
    job = cancelled(own_installation, begun(own_installation, "plain"), lambda: None)
    assert job["usage"]["cost"] == pytest.approx(2 * 10 / 10**6)
    assert job["usage"]["cost_basis"] == "estimate"


def test_a_deadline_is_no_way_around_it(own_installation, go_on):
    job_id = begun(own_installation, "silent", deadline=time.time() + 4)
    job = own_installation.await_job(job_id)
    assert job["status"] == "failed"
    assert job["usage"]["cost_basis"] == "hold"


def test_a_stream_that_its_provider_cuts_costs_what_was_shown(own_installation):
    job = own_installation.await_job(begun(own_installation, "cut"))
    assert job["status"] == "failed"
    assert job["usage"]["cost"] == pytest.approx(2 * 10 / 10**6)
    assert job["usage"]["cost_basis"] == "estimate"
