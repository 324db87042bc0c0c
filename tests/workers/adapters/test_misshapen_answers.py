"""Reading an answer of any shape raises only the two documented errors."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.registry import ADAPTERS

REQUEST = CompletionRequest({"messages": [None, {"role": "tool", "content": 1}]}, "m", stream=True)
JUNK = st.sampled_from([None, 0, -1, 1.5, True, "", "x", [], {}, [None], ["x"], [{}], {"a": 1}])
CITED = {"start": 0, "end": 1, "text": "a", "type": "TEXT_CONTENT",
         "sources": [{"id": "d", "document": {"url": "u", "title": "t"}}]}  # fmt: skip
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWERS = {
    "cohere": {
        "id": "i", "finish_reason": "COMPLETE",
        "message": {"content": [{"type": "text", "text": "a"}], "tool_plan": "p",
                    "tool_calls": [CALL], "citations": [CITED]},
        "logprobs": [{"text": "a", "logprobs": [-1]}],
        "usage": {"tokens": {"input_tokens": 1, "output_tokens": 1}, "cached_tokens": 1},
    },
    "bedrock": {
        "stopReason": "end_turn", "serviceTier": {"type": "default"},
        "output": {"message": {"content": [
            {"text": "a"},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
            {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}},
            {"citationsContent": {"content": [{"text": "a"}],
                                  "citations": [{"location": {"web": {"url": "u"}}}]}},
            {"image": {"format": "png", "source": {"bytes": "QQ=="}}}]}},
        "usage": {"inputTokens": 1, "outputTokens": 1},
    },
    "responses": {
        "id": "resp_1", "object": "response", "status": "incomplete", "model": "m",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAA",
             "summary": [{"type": "summary_text", "text": "a"}],
             "content": [{"type": "reasoning_text", "text": "a"}]},
            {"id": "msg_1", "type": "message", "content": [
                {"type": "output_text", "text": "a",
                 "logprobs": [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "a"}]}],
                 "annotations": [{"type": "url_citation", "url": "u", "start_index": 0}]},
                {"type": "refusal", "refusal": "a"}]},
            {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f",
             "arguments": "{}"},
            {"id": "ig_1", "type": "image_generation_call", "result": "QQ=="}],
        "usage": {"input_tokens": 1, "output_tokens": 1,
                  "input_tokens_details": {"cached_tokens": 1}},
    },
}  # fmt: skip


def paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def planted(value, path, junk):
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = planted(copy[path[0]], path[1:], junk)
    return copy


@pytest.mark.parametrize("wire", ANSWERS)
@given(st.data())
def test_junk_anywhere(wire, data):
    path = data.draw(st.sampled_from(list(paths(ANSWERS[wire]))))
    body = json.dumps(planted(ANSWERS[wire], path, data.draw(JUNK))).encode()
    with suppress(MalformedAnswerError, ProviderFailureError):
        ADAPTERS[wire].read_response(body, REQUEST)
    with suppress(MalformedAnswerError, ProviderFailureError):
        reader = ADAPTERS[wire].create_stream_reader(REQUEST)
        reader.feed(body if wire == "bedrock" else b"data: " + body + b"\n\n")
        reader.close()
