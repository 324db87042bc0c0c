"""The chunk with the usage: the last of each stream, in the form that its caller expects."""

import uuid
from typing import Any

import orjson
import pytest

from tests.e2e.sse import Frame, content, frames
from tests.installation import Installation, chat
from tests.stacks import any_stack

pytestmark = any_stack

EMPTY = {
    "index": 0,
    "delta": {"content": ""},
    "finish_reason": None,
    "native_finish_reason": None,
    "logprobs": None,
}
FORMS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({}, [EMPTY]),
    ({"stream_options": None}, [EMPTY]),
    ({"stream_options": {}}, [EMPTY]),
    ({"stream_options": {"include_usage": None}}, [EMPTY]),
    ({"stream_options": {"include_usage": False}}, [EMPTY]),
    ({"usage": {"include": True}}, [EMPTY]),
    ({"stream_options": {"include_usage": True}}, []),
]
TRICKY = 'It says {"choices":[],"usage":{"prompt_tokens":1}} and goes on.'


def stream(installation: Installation, body: dict[str, Any], **headers: str) -> list[Frame]:
    answer = installation.http.post(
        "/chat/completions", json=body | {"stream": True}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    *told, done = frames(answer.text)
    assert done.data == "[DONE]"
    return told


@pytest.mark.parametrize(("asked", "choices"), FORMS)
@pytest.mark.parametrize("native", ["sim-echo", "sim-nousage", "sim-tools2", "sim-json"])
def test_the_usage_comes_last_and_once(
    installation: Installation, native: str, asked: dict[str, Any], choices: list[dict[str, Any]]
) -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    *told, last = stream(installation, chat(native, "one two", tools=tools, **asked))
    assert last.json["choices"] == choices
    assert last.json["usage"]["total_tokens"] > 0
    assert last.json["usage"]["cost"] > 0
    assert all(frame.json["choices"] and "usage" not in frame.json for frame in told)
    assert [frame.json["choices"][0]["finish_reason"] for frame in told if finishes(frame)] == [
        told[-1].json["choices"][0]["finish_reason"]
    ]


def finishes(frame: Frame) -> bool:
    return bool(frame.json["choices"][0]["finish_reason"])


@pytest.mark.parametrize(("asked", "choices"), [FORMS[0], FORMS[-1]])
def test_an_answer_given_again_keeps_its_form(
    installation: Installation, asked: dict[str, Any], choices: list[dict[str, Any]]
) -> None:
    body = chat("sim-echo", f"again {uuid.uuid4()}", **asked)
    cache = {"X-OpenRouter-Cache": "true"}
    _, cached = stream(installation, body, **cache), stream(installation, body, **cache)
    assert (cached[-1].json["choices"], cached[-1].number) == (choices, 0)
    assert content(cached) == body["messages"][0]["content"]
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert stream(installation, body, **key) == stream(installation, body, **key)


def test_the_usage_has_no_id_in_a_compatible_stream_and_one_in_the_log(
    installation: Installation,
) -> None:
    body = chat("sim-echo", "one two three", stream=True)
    answer = installation.http.post("/chat/completions", json=body)
    *told, last, done = frames(answer.text)
    assert done.data == "[DONE]"
    assert [frame.number for frame in told] == list(range(2, 2 + len(told)))
    assert last.number == 0
    log = frames(installation.http.get(f"/jobs/{answer.headers['x-job-id']}/events").text)
    assert [frame.number for frame in log] == list(range(1, len(log) + 1))
    assert [frame.name for frame in log] == [
        "started",
        *["chunk"] * (len(told) + 1),
        "completed",
    ]
    assert log[-2].json == last.json


def test_metadata_goes_into_the_chunk_with_the_usage_whatever_the_text_is(
    installation: Installation,
) -> None:
    """The last chunk is known by its event's type, not by the bytes in it."""
    for asked, choices in (FORMS[0], FORMS[-1]):
        body = chat("sim-echo", TRICKY, **asked)
        told = stream(installation, body, **{"X-OpenRouter-Metadata": "enabled"})
        assert content(told) == TRICKY
        assert ["openrouter_metadata" in frame.json for frame in told] == [
            *[False] * (len(told) - 1),
            True,
        ]
        assert told[-1].json["choices"] == choices


def test_a_caller_may_read_the_first_choice_of_each_chunk(installation: Installation) -> None:
    told = stream(installation, chat("sim-echo", "one two three"))
    parts = [orjson.loads(frame.data)["choices"][0]["delta"]["content"] for frame in told[:-2]]
    assert "".join(parts) == "one two three"
    assert all("choices" in frame.json and frame.json["choices"] for frame in told)
