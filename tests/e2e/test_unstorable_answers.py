"""Answers that JSON or the database cannot hold: the provider's failure, told at once."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.installation import Installation, free_ports

NESTED = "[" * 300 + "]" * 300


def answer(**changes: object) -> bytes:
    message = {"role": "assistant", "content": "Hello"}
    body = {
        "id": "one",
        "model": "odd",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    return json.dumps(body | changes).encode()


ANSWERS = {
    "huge-usage": answer(usage={"prompt_tokens": 2**62, "completion_tokens": 1}),
    "odd-words": answer(id="a\0b"),
    "nested": answer().replace(
        b'"content": "Hello"', b'"content": "Hi", "annotations": ' + NESTED.encode()
    ),
}


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        body = ANSWERS[asked["model"]]
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def odd_installation() -> Iterator[Installation]:
    (port,) = free_ports(1)
    server = ThreadingHTTPServer(("127.0.0.1", port), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tables = f'[[providers]]\nslug = "odd"\nwire = "openai"\nbase_url = "http://127.0.0.1:{port}"\n'
    for name in ANSWERS:
        endpoint = f'provider = "odd", model = "{name}", prompt = "1"'
        tables += f'[[models]]\nslug = "sim/{name}"\nendpoints = [{{ {endpoint} }}]\n'
    with Installation(config=tables) as installation:
        yield installation
    server.shutdown()


def test_counts_that_no_model_can_have_made_are_estimated(odd_installation: Installation) -> None:
    job = odd_installation.await_job(odd_installation.submit("huge-usage"))
    assert job["status"] == "completed"
    assert job["response"]["usage"]["estimated"] is True
    assert job["usage"]["prompt_tokens"] < 100
    assert len(job["attempts"]) == 1


def test_words_that_databases_refuse_are_cleaned(odd_installation: Installation) -> None:
    job = odd_installation.await_job(odd_installation.submit("odd-words"))
    assert job["status"] == "completed"
    assert len(job["attempts"]) == 1


def test_an_answer_that_cannot_be_written_is_bought_once(odd_installation: Installation) -> None:
    job = odd_installation.await_job(odd_installation.submit("nested", max_attempts=4))
    assert job["status"] == "failed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["unknown"]
    assert "cannot be stored" in job["error"]["message"]
    assert job["usage"]["total_tokens"] == 2
    assert job["usage"]["cost"] == job["attempts"][0]["cost"] > 0
    odd_installation.audit([job["id"]])
