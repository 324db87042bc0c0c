"""Streamed text completions: the same promises as for a chat's stream."""

import json
import uuid
from typing import Any

import openai
import pytest

from tests.e2e.sse import Frame, frames
from tests.installation import Installation
from tests.stacks import any_stack

pytestmark = any_stack

TEXT_WIRES = ("openai", "azure", "deployment")
PROMPT = "one two three four"


def body(model: str = "openai/sim-echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "prompt": PROMPT, "stream": True, **more}


def stream(wires: Installation, asked: dict[str, Any], **headers: str) -> tuple[str, list[Frame]]:
    """Return the job of a stream and its frames, `[DONE]` left out."""
    answer = wires.http.post("/completions", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *told, done = frames(answer.text)
    assert done.data == "[DONE]"
    return answer.headers["x-job-id"], told


def text(told: list[Frame]) -> str:
    return "".join(choice["text"] for frame in told for choice in frame.json["choices"])


@pytest.mark.parametrize("wire", TEXT_WIRES)
@pytest.mark.parametrize("include_usage", [True, False])
def test_a_text_is_streamed_to_the_sdk(
    sdk: openai.OpenAI, wires: Installation, wire: str, include_usage: bool
) -> None:
    asked = {"model": f"{wire}/sim-echo", "prompt": PROMPT}
    options = {"include_usage": include_usage}
    *said, last = sdk.completions.create(**asked, stream=True, stream_options=options)
    assert "".join(chunk.choices[0].text for chunk in said) == PROMPT
    assert {chunk.object for chunk in (*said, last)} == {"text_completion"}
    assert [chunk.choices[0].finish_reason for chunk in said][-1] == "stop"
    assert all(chunk.choices[0].finish_reason is None for chunk in said[:-1])
    assert [choice.text for choice in last.choices] == ([] if include_usage else [""])
    whole = sdk.completions.create(**asked)
    assert whole.choices[0].text == PROMPT
    assert last.usage == whole.usage
    assert whole.usage.model_extra["cost"] > 0


def test_the_stored_answer_is_what_was_streamed(wires: Installation) -> None:
    job_id, told = stream(wires, body())
    job = wires.await_job(job_id)
    assert job["response"]["object"] == "text_completion"
    [choice] = job["response"]["choices"]
    assert choice == {
        "index": 0,
        "text": text(told),
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "stop",
    }
    assert job["response"]["usage"] == told[-1].json["usage"]
    assert job["response"]["id"] == told[0].json["id"]
    generation = wires.http.get("/generation", params={"id": job["generation_id"]}).json()["data"]
    assert (generation["streamed"], generation["finish_reason"]) == (True, "stop")
    wires.audit([job_id])


def test_the_log_is_resumed_and_ends(wires: Installation) -> None:
    job_id, told = stream(wires, body())
    cut = told[2].number
    headers = {"Last-Event-ID": str(cut)}
    rest = frames(wires.http.get(f"/jobs/{job_id}/events", headers=headers).text)
    assert [frame.number for frame in rest] == list(range(cut + 1, cut + 1 + len(rest)))
    assert rest[-1].name == "completed"
    assert text(told[:3] + rest[:-1]) == PROMPT


def test_it_goes_on_when_its_caller_hangs_up(wires: Installation) -> None:
    with wires.http.stream("POST", "/completions", json=body()) as answer:
        job_id = answer.headers["x-job-id"]
    assert wires.await_job(job_id)["response"]["choices"][0]["text"] == PROMPT


def test_it_is_given_again(wires: Installation) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert stream(wires, body(), **key) == stream(wires, body(), **key)
    cache = {"X-OpenRouter-Cache": "true"}
    asked = body(user=str(uuid.uuid4()))
    (first, said), (second, again) = (stream(wires, asked, **cache) for _ in range(2))
    assert first != second
    assert text(said) == text(again) == PROMPT
    assert again[-1].json["usage"]["cost"] == 0


def test_it_can_be_submitted_as_a_job(wires: Installation) -> None:
    job = wires.http.post("/jobs", json={"endpoint": "/v1/completions", "body": body()}).json()
    log = frames(wires.http.get(f"/jobs/{job['id']}/events", timeout=30).text)
    assert text([frame for frame in log if frame.name == "chunk"]) == PROMPT
    assert wires.await_job(job["id"])["response"]["choices"][0]["text"] == PROMPT


def test_the_answer_can_be_fetched_later(wires: Installation) -> None:
    headers = {"Prefer": "respond-async"}
    answer = wires.http.post("/completions", json=body(), headers=headers)
    assert answer.status_code == 202
    job = wires.await_job(answer.json()["id"])
    assert job["response"]["choices"][0]["text"] == PROMPT


def test_metadata_is_in_the_last_chunk(wires: Installation) -> None:
    _, told = stream(wires, body(), **{"X-OpenRouter-Metadata": "enabled"})
    assert ["openrouter_metadata" in frame.json for frame in told] == [
        *[False] * (len(told) - 1),
        True,
    ]


@pytest.mark.parametrize("native", ["sim-errstream", "sim-cut"])
def test_an_error_in_the_stream_has_the_form_of_a_text(wires: Installation, native: str) -> None:
    job_id, told = stream(wires, body(f"openai/{native}", max_tokens=50))
    assert text(told[:-1])
    error = told[-1].json
    assert error["object"] == "text_completion"
    assert error["error"]["message"]
    [choice] = error["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "error")
    assert wires.await_job(job_id)["status"] == "failed"


def test_an_error_before_the_first_token_has_its_status(wires: Installation) -> None:
    answer = wires.http.post("/completions", json=body("openai/sim-429-retry7"))
    assert answer.status_code == 429
    assert json.loads(answer.text)["error"]["code"] == 429


@pytest.mark.parametrize("wire", ["anthropic", "gemini", "mistral"])
def test_a_wire_without_text_completions_is_refused(wires: Installation, wire: str) -> None:
    streamed = wires.http.post("/completions", json=body(f"{wire}/sim-echo"))
    plain = wires.http.post("/completions", json=body(f"{wire}/sim-echo", stream=False))
    assert streamed.status_code == plain.status_code == 404
    assert streamed.json()["error"]["message"] == plain.json()["error"]["message"]
