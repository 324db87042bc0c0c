"""Arbitrary bodies and headers are accepted or refused, and never get a 5xx."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.drawing import JUNK, fuzzed, planted
from tests.installation import Installation, chat

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
RICH: dict[str, Any] = chat(
    "sim-echo",
    max_tokens=5,
    temperature=0.5,
    stop=["x"],
    tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
    provider={"order": ["sim"], "max_price": {"prompt": 1}},
    metadata={"a": "b"},
    logit_bias={"1": 1},
    plugins=[{"id": "response-healing"}],
    messages=[
        {"role": "user", "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,a"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ],
)  # fmt: skip
HEADERS = (
    "Prefer", "Idempotency-Key", "Last-Event-ID", "Range", "traceparent", "tracestate", "Accept",
    "Content-Type", "If-None-Match", "X-Forwarded-For", "X-Title", "HTTP-Referer", "X-Request-Id",
    "Accept-Encoding", "X-Session-Id",
)  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.sampled_from(
        [
            b"respond-async",
            b"wait=1",
            b"wait=-1",
            b"wait=1e9",
            b"wait=" + b"9" * 40,
            b"bytes=0-",
            b"bytes=-1",
            b"bytes=9-1",
            b"bytes=" + b"9" * 30 + b"-",
            b"0-0",
            b"-1",
            b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
            b"9" * 400,
            b"\xff",
            b"*/*;q=x",
            b",;=",
        ]
    ),
).map(lambda value: bytes(each for each in value if each >= 32 and each != 127).strip())


def post(installation: Installation, path: str, body: Any, **headers: str) -> httpx.Response:
    return installation.http.post(
        path, content=json.dumps(body), headers={"Content-Type": "application/json", **headers}
    )


@fuzzed(60)
@given(body=planted(RICH))
def test_a_chat_is_accepted_or_refused_with_a_field(installation: Installation, body: Any) -> None:
    answer = post(installation, "/chat/completions", body, Prefer="respond-async")
    assert answer.status_code < 500, answer.text
    assert answer.status_code != 400 or answer.json()["error"]["param"], answer.text


def test_the_chat_that_is_changed_is_valid(installation: Installation) -> None:
    answer = post(installation, "/chat/completions", RICH, Prefer="respond-async")
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    "path", ["/jobs", "/embeddings", "/completions", "/rerank", "/batches", "/chat/completions"]
)
@fuzzed(10)
@given(body=JUNK)
def test_any_json_is_accepted_or_refused(installation: Installation, path: str, body: Any) -> None:
    for sent in (body, {"model": "sim/sim-echo", "body": body, "input": body, "prompt": body}):
        answer = post(installation, path, sent, Prefer="respond-async")
        assert answer.status_code < 500, answer.text


@fuzzed(15)
@given(content=st.binary(max_size=200) | st.builds(json.dumps, JUNK).map(str.encode))
def test_any_file_is_kept_or_refused(installation: Installation, content: bytes) -> None:
    file = {"file": ("input.jsonl", content)}
    answer = installation.http.post("/files", data={"purpose": "batch"}, files=file)
    assert answer.status_code < 500, answer.text
    if answer.status_code < 300:
        wish = {"input_file_id": answer.json()["id"], "endpoint": "/v1/chat/completions"}
        made = installation.http.post("/batches", json={**wish, "completion_window": "24h"})
        assert made.status_code < 500, made.text


@pytest.mark.parametrize("path", ["/chat/completions", "/jobs", "/models", "/jobs/job_x/events"])
@fuzzed(25)
@given(headers=st.dictionaries(st.sampled_from(HEADERS), VALUES, min_size=1, max_size=3))
def test_any_header_is_taken_or_refused(
    installation: Installation, path: str, headers: dict[str, bytes]
) -> None:
    if path == "/chat/completions":
        answer = installation.http.post(path, content=json.dumps(chat("sim-echo")), headers=headers)
    else:
        answer = installation.http.get(path, headers=headers)
    assert answer.status_code < 500, answer.text
