"""Streams of pictures and of speech: parts as they come, then the whole, which is stored."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import openrouter
import pytest

from tests.e2e.conftest import PNG
from tests.e2e.wires import GEMINI_LIKE
from tests.installation import KEY, Installation

ASKED: dict[str, Any] = {"model": "openai/sim", "prompt": "A red square"}


def stored_answer(wires: Installation, job_id: str) -> dict[str, Any]:
    return dict(wires.await_job(job_id)["response"])


@pytest.mark.parametrize("wire", ["openai", "azure", "deployment"])
def test_partial_images_come_before_the_image(sdk: openai.OpenAI, wire: str) -> None:
    asked = {**ASKED, "model": f"{wire}/sim"}
    with sdk.images.generate(stream=True, partial_images=2, **asked) as stream:
        *parts, last = list(stream)
    assert [each.type for each in parts] == ["image_generation.partial_image"] * 2
    assert [each.partial_image_index for each in parts] == [0, 1]
    assert len({each.b64_json for each in (*parts, last)}) == 3
    assert last.type == "image_generation.completed"
    assert (last.usage.output_tokens, last.usage.input_tokens) == (258, 3)
    assert last.usage.cost > 0
    [plain] = sdk.images.generate(**asked).data
    assert last.b64_json == plain.b64_json


def test_an_edit_streams_with_its_own_events(wires: Installation, sdk: openai.OpenAI) -> None:
    edit = sdk.images.with_raw_response.edit(
        image=("a.png", PNG), stream=True, partial_images=1, **ASKED
    )
    job_id = edit.headers["x-job-id"]
    events = list(edit.parse())
    assert [each.type for each in events] == ["image_edit.partial_image", "image_edit.completed"]
    [entry] = stored_answer(wires, job_id)["data"]
    assert httpx.get(entry["url"]).content == base64.b64decode(events[-1].b64_json)


@pytest.mark.parametrize("wire", GEMINI_LIKE)
def test_a_wire_without_partial_images_streams_the_image(sdk: openai.OpenAI, wire: str) -> None:
    asked = {**ASKED, "model": f"{wire}/sim-image"}
    [only] = list(sdk.images.generate(stream=True, partial_images=2, **asked))
    assert only.type == "image_generation.completed"
    assert only.usage.cost > 0


def test_openrouters_sdk_reads_the_stream(wires: Installation) -> None:
    with openrouter.OpenRouter(api_key=KEY, server_url=wires.url) as client:
        with client.images.generate(**ASKED, stream=True) as stream:
            events = list(stream)
        references = [
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
            }
        ]
        edited = client.images.generate(**ASKED, input_references=references)
    assert [each.type for each in events] == ["image_generation.completed"]
    assert events[0].media_type == "image/png"
    assert base64.b64decode(events[0].b64_json).startswith(PNG[:4])
    assert edited.data[0].b64_json != events[0].b64_json


def test_a_stream_that_breaks_ends_with_an_error_event(wires: Installation) -> None:
    body = {**ASKED, "model": "openai/sim-cut", "stream": True, "partial_images": 3}
    answer = wires.http.post("/images/generations", json=body)
    assert '"type":"error"' in answer.text or answer.status_code >= 500
    assert "image_generation.completed" not in answer.text


def say(client: httpx.Client, **more: Any) -> httpx.Response:
    asked = {"model": "openai/sim-chunk50", "input": "Hello, harbour.", "voice": "alloy", **more}
    return client.post("/audio/speech", json=asked)


def test_speech_is_passed_on_as_it_comes(wires: Installation) -> None:
    asked = {"model": "openai/sim-chunk50", "input": "Hello, harbour.", "voice": "alloy"}
    with wires.http.stream("POST", "/audio/speech", json=asked) as answer:
        pieces = list(answer.iter_raw())
        job_id = answer.headers["x-job-id"]
    assert len(pieces) > 1
    assert answer.headers["content-type"] == "audio/mpeg"
    stored = stored_answer(wires, job_id)
    assert httpx.get(stored["url"]).content == b"".join(pieces)
    assert stored["usage"]["cost"] > 0


def test_speech_comes_as_events_where_they_are_requested(
    wires: Installation, sdk: openai.OpenAI
) -> None:
    whole = say(wires.http).content
    with sdk.audio.speech.with_streaming_response.create(
        model="openai/sim", input="Hello, harbour.", voice="alloy", stream_format="sse"
    ) as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    events = [json.loads(each) for each in lines]
    assert [each["type"] for each in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert b"".join(base64.b64decode(each["audio"]) for each in events[:-1]) == whole
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["output_tokens"] > 0


def test_speech_that_breaks_off_does_not_end_like_whole_speech(wires: Installation) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        say(wires.http, model="openai/sim-cut")


def test_shared_speech_comes_as_a_whole(wires: Installation) -> None:
    text = "Two callers want the same words."
    asked = {"model": "openai/sim", "input": text, "voice": "alloy", "coalesce": True}
    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(lambda _: wires.http.post("/audio/speech", json=asked), "12"))
    assert [each.content[:4] for each in heard] == [b"RIFF"] * 2
    assert heard[0].content == heard[1].content
    refused = say(wires.http, coalesce=True, stream_format="sse")
    assert refused.status_code == 400
    assert "A stream is not shared" in refused.json()["error"]["message"]


def test_speech_that_is_requested_again_is_the_stored_sound(wires: Installation) -> None:
    headers = {"Idempotency-Key": "say it once"}
    asked = {"model": "openai/sim", "input": "Once.", "voice": "alloy"}
    first, again = (wires.http.post("/audio/speech", json=asked, headers=headers) for _ in "12")
    assert first.content == again.content
    assert again.headers["content-type"] == "audio/mpeg"
    assert again.headers["idempotent-replayed"] == "true"
