"""Exact bytes of a provider, from its socket to what the caller, the job and the books show."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cases.playback import Playback, Recording
from tests.e2e.sse import content, frames
from tests.installation import Installation
from tests.stacks import any_stack
from tests.workers.adapters.streams import STREAMS, WireStream, sse

pytestmark = any_stack

PRICE = 'prompt = "1", completion = "2"'  # dollars per million tokens
BASES = {"anthropic": "/v1", "gemini": "/v1beta", "bedrock": "", "cohere": ""}
WIRES = pytest.mark.parametrize("wire", STREAMS)
UNREADABLE = b'{"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}'
ODD_JSON = {
    "pair": ("hi \\ud83d", "\\ude0a there"),
    "half": ("hi \\ud83d", " there"),
    "nul": ("hi \\u0000", "there"),
}
GOOD = json.dumps(
    {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello world"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
)


def played(body: bytes, kind: str, end: str = "proper") -> Recording:
    head = ["HTTP/1.1 200 OK", f"content-type: {kind}"]
    answer: dict[str, Any] = {"head": head, "framing": "chunked", "end": end}
    return Recording([answer | {"body_base64": base64.b64encode(body).decode()}])


def begun(stream: WireStream) -> bytes:
    return b"".join(stream.opening)


def half(stream: WireStream) -> bytes:
    return b"".join([*stream.opening, *stream.text])


@pytest.fixture(scope="module")
def playback() -> Iterator[Playback]:
    playback = Playback()
    for wire, stream in STREAMS.items():
        kind = stream.content_type
        playback.recordings[f"{wire}-cut"] = played(begun(stream), kind, "reset")
        playback.recordings[f"{wire}-half"] = played(half(stream), kind, "hold-open")
        playback.recordings[f"{wire}-good"] = played(stream.whole, kind, "hold-open")
    playback.recordings["unreadable"] = played(UNREADABLE, "application/json")
    playback.recordings["unreadable2"] = played(UNREADABLE, "application/json")
    playback.recordings["good"] = played(GOOD.encode(), "application/json")
    kind = "text/event-stream"
    for name, (before, after) in ODD_JSON.items():
        playback.recordings[f"json{name}"] = played(
            _said(GOOD.encode(), before, after), "application/json"
        )
        playback.recordings[f"stream{name}"] = played(
            _said(STREAMS["openai"].whole, before, after), kind
        )
    zero = sse({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    counted = STREAMS["openai"].usage[0]
    playback.recordings["zero"] = played(
        STREAMS["openai"].whole.replace(counted, zero), "text/event-stream"
    )
    yield playback
    playback.close()


@pytest.fixture(scope="module")
def odd(playback: Playback) -> Iterator[Installation]:
    tables = []
    for name in playback.recordings:
        wire = name.partition("-")[0] if "-" in name else "openai"
        address = f"http://127.0.0.1:{playback.port}/{name}{BASES.get(wire, '/v1')}"
        tables.append(
            f'[[providers]]\nslug = "{name}"\nwire = "{wire}"\nbase_url = "{address}"\n'
            'api_key = "any"\noptions = { region = "us-east-1" }\n'
            f'[[models]]\nslug = "odd/{name}"\nmax_completion_tokens = 100\n'
            f'endpoints = [{{ provider = "{name}", model = "m", {PRICE} }}]\n'
        )
    with Installation(config="".join(tables)) as installation:
        yield installation
        installation.await_idle()
        installation.audit()


def _said(body: bytes, before: str, after: str) -> bytes:
    """Return an answer that says other things, written as they stand here."""
    if b'"Hello world"' in body:
        return body.replace(b'"Hello world"', f'"{before}{after}", "odd": NaN'.encode())
    said = body.replace(b'"Hello "', f'"{before}", "odd": 1e400'.encode())
    return said.replace(b'"world"', f'"{after}", "odd": -Infinity'.encode())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [("pair", "hi \U0001f60a there"), ("half", "hi \ufffd there"), ("nul", "hi \0there")],
)
def test_odd_json_is_stored_and_told(odd: Installation, name: str, text: str, stream: bool) -> None:
    slug = f"{'stream' if stream else 'json'}{name}"
    answer = odd.http.post("/chat/completions", json=asked(slug, stream=stream))
    assert answer.status_code == 200, answer.text
    if stream:
        assert content(frames(answer.text)) == text
    job = odd.job(answer.headers["x-job-id"])
    assert job["response"]["choices"][0]["message"]["content"] == text
    assert outcomes(job) == [(slug, "ok")]


def outcomes(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["provider"], each["outcome"]) for each in job["attempts"]]


def asked(first: str, *others: str, **more: object) -> dict[str, Any]:
    models = [f"odd/{other}" for other in others]
    messages = [{"role": "user", "content": "Say hello."}]
    return {"model": f"odd/{first}", "models": models, "messages": messages, **more}


@WIRES
def test_a_stream_cut_before_its_text_falls_back(odd: Installation, wire: str) -> None:
    body = asked(f"{wire}-cut", f"{wire}-good", stream=True)
    answer = odd.http.post("/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert content(frames(answer.text)) == "Hello world"
    job = odd.job(answer.headers["x-job-id"])
    assert outcomes(job) == [(f"{wire}-cut", "unknown")] * 2 + [(f"{wire}-good", "ok")]
    assert job["usage"]["cost"] == pytest.approx(20e-6)


@WIRES
def test_a_stored_stream_has_its_text_and_usage(odd: Installation, wire: str) -> None:
    body = asked(f"{wire}-good", stream=True)
    job = odd.await_job(odd.http.post("/jobs", json={"body": body}).json()["id"])
    assert job["status"] == "completed"
    [choice] = job["response"]["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello world", "stop")
    assert (job["usage"]["prompt_tokens"], job["usage"]["completion_tokens"]) == (10, 5)


@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
def test_a_stream_that_its_caller_ends_keeps_the_stated_input(odd: Installation, wire: str) -> None:
    body = asked(f"{wire}-half", stream=True)
    job_id = odd.http.post("/jobs", json={"body": body}).json()["id"]
    with odd.http.stream("GET", f"/jobs/{job_id}/events", timeout=30) as answer:
        for line in answer.iter_lines():
            if "world" in line:
                break
    odd.http.post(f"/jobs/{job_id}/cancel").raise_for_status()
    job = odd.await_job(job_id)
    assert job["status"] == "cancelled"
    assert job["usage"]["prompt_tokens"] == 10
    assert job["usage"]["completion_tokens"] == len("Hello world") // 4
    odd.audit([job_id])


def test_an_unreadable_answer_is_bought_once_and_paid(
    odd: Installation, playback: Playback
) -> None:
    before = len(playback.recordings["unreadable"].requests)
    accepted = odd.http.post("/jobs", json={"body": asked("unreadable"), "max_attempts": 5})
    job = odd.await_job(accepted.json()["id"])
    assert job["status"] == "failed"
    assert outcomes(job) == [("unreadable", "unknown")]
    assert len(playback.recordings["unreadable"].requests) == before + 1
    assert (job["usage"]["prompt_tokens"], job["usage"]["completion_tokens"]) == (1000, 500)
    assert job["usage"]["cost"] == pytest.approx(2e-3)
    odd.audit([job["id"]])


def test_an_unreadable_answer_falls_back_once(odd: Installation) -> None:
    body = asked("unreadable", "good")
    answer = odd.http.post("/chat/completions", json=body)
    assert answer.status_code == 200
    job = odd.job(answer.headers["x-job-id"])
    assert outcomes(job) == [("unreadable", "unknown"), ("good", "ok")]
    body = asked("unreadable", "unreadable2", "good")
    job = odd.await_job(odd.http.post("/jobs", json={"body": body}).json()["id"])
    assert outcomes(job) == [("unreadable", "unknown"), ("unreadable2", "unknown")]


def test_a_usage_of_zeros_beside_text_is_estimated(odd: Installation) -> None:
    accepted = odd.http.post("/jobs", json={"body": asked("zero", stream=True)})
    job = odd.await_job(accepted.json()["id"])
    assert job["response"]["usage"]["estimated"] is True
    assert job["usage"]["prompt_tokens"] > 0
    assert job["usage"]["completion_tokens"] == 2
