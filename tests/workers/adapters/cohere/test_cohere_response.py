import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.cohere import CohereAdapter

REQUEST = CompletionRequest({"messages": []}, "command-a", stream=True)
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read(payload):
    return CohereAdapter().read_response(json.dumps(payload).encode(), REQUEST)


def answer(finish="COMPLETE", **message):
    return {"id": "i", "finish_reason": finish, "message": {"role": "assistant", **message}}


def stream(*events):
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def delta(kind, index=0, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


def end(finish="COMPLETE", **more):
    return {"type": "message-end", "delta": {"finish_reason": finish, **more}}


def chunks(data):
    reader = CohereAdapter().create_stream_reader(REQUEST)
    return reader.feed(data) + reader.close()


def parts(read_chunks):
    return [part for chunk in read_chunks for part in chunk.choices]


FINISHES = [
    ("COMPLETE", "stop"),
    ("STOP_SEQUENCE", "stop"),
    ("MAX_TOKENS", "length"),
    ("ERROR_LIMIT", "length"),
    ("TOOL_CALL", "tool_calls"),
    ("ERROR", "error"),
    ("ERROR_TOXIC", "content_filter"),
    ("TIMEOUT", "error"),
    ("SOMETHING_NEW", "error"),
    (None, "stop"),
]


@pytest.mark.parametrize(("native", "word"), FINISHES)
def test_finish_reasons(native, word):
    choice = read(answer(native, content=[{"type": "text", "text": "a"}])).choices[0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (word, native)


def test_calls_settle_the_finish_reason():
    choice = read(answer(tool_plan="I will", tool_calls=CALL)).choices[0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant", "content": None, "refusal": None, "reasoning": "I will",
        "tool_calls": [CALL],
    }  # fmt: skip


USAGES = [
    ({}, None),
    ({"tokens": {"input_tokens": 10, "output_tokens": 3}}, Usage(input=10, output=3)),
    ({"tokens": {"input_tokens": 10.0, "output_tokens": 3.0, "reasoning_tokens": 2},
      "cached_tokens": 4, "billed_units": {"input_tokens": 1}},
     Usage(input=6, cache_read=4, output=3, reasoning=2, billed_input=1)),
    ({"billed_units": {"input_tokens": 1, "output_tokens": 2}}, Usage(input=1, output=2)),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "wanted"), USAGES)
def test_usage(usage, wanted):
    assert read(answer(content=[]) | {"usage": usage}).usage == wanted


def test_citations_become_annotations():
    sources = [
        {"type": "document", "id": "doc-1", "document": {"title": "T", "url": "https://x"}},
        {"type": "tool", "id": "f:0", "tool_output": {"a": 1}},
    ]
    cited = {"start": 1, "end": 2, "text": "b", "sources": sources, "type": "TEXT_CONTENT"}
    plan = {**cited, "type": "PLAN"}
    message = read(answer(content=[{"type": "text", "text": "abc"}], citations=[cited, plan]))
    where = {"start_index": 1, "end_index": 2, "content": "b"}
    wanted = [
        {"type": "url_citation", "url_citation": {"url": "https://x", "title": "T", **where}},
        {"type": "url_citation", "url_citation": {"url": "f:0", "title": "f:0", **where}},
    ]
    assert message.choices[0]["message"]["annotations"] == wanted
    started = delta("citation-start", citations=cited)
    assert parts(chunks(stream(started, end())))[0]["delta"]["annotations"] == wanted


def test_a_stream():
    read_chunks = chunks(
        stream(
            {"type": "message-start", "id": "i", "delta": {"message": {"content": []}}},
            delta("content-start", content={"type": "thinking", "thinking": ""}),
            delta("content-delta", content={"thinking": "hm"}),
            delta("content-end"),
            delta("content-start", 1, content={"type": "text", "text": ""}),
            delta("content-delta", 1, content={"text": "yes"}),
            delta("tool-plan-delta", tool_plan="so"),
            delta("tool-call-start", tool_calls={**CALL, "function": {"name": "f"}}),
            delta("tool-call-delta", tool_calls={"function": {"arguments": "{"}}),
            delta("tool-call-delta", tool_calls={"function": {"arguments": "}"}}),
            {"type": "tool-call-end", "index": 0},
            delta("tool-call-start", 1, tool_calls={"id": "c2", "function": {"name": "g"}}),
            {"type": "something-new"},
            end("TOOL_CALL", usage={"tokens": {"input_tokens": 5, "output_tokens": 2}}),
        )
        + b"data: [DONE]\n\n"
    )
    assert [part["delta"] for part in parts(read_chunks)] == [
        {"role": "assistant", "content": "", "reasoning": "hm"},
        {"content": "yes"},
        {"reasoning": "so"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function",
                         "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "function",
                         "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]  # fmt: skip
    last = parts(read_chunks)[-1]
    assert (last["finish_reason"], last["native_finish_reason"]) == ("tool_calls", "TOOL_CALL")
    assert read_chunks[-1].usage == Usage(input=5, output=2)
    assert {chunk.upstream_id for chunk in read_chunks} == {"i"}


def test_log_probabilities():
    piece = {**delta("content-delta", content={"text": "ab"}),
             "logprobs": {"text": "ab", "token_ids": [1, 2], "logprobs": [-0.5, -1.0]}}  # fmt: skip
    token = {"token": "ab", "logprob": -1.5, "bytes": [97, 98], "top_logprobs": []}
    assert parts(chunks(stream(piece, end())))[0]["logprobs"]["content"] == [token]


def test_what_came_before_a_failure_is_handed_over_first():
    failed = end("ERROR", error="invalid tool generation", error_type="INVALID_TOOL_GENERATION")
    reader = CohereAdapter().create_stream_reader(REQUEST)
    said = reader.feed(stream(delta("tool-plan-delta", tool_plan="I"), failed))
    assert parts(said)[0]["delta"]["reasoning"] == "I"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    assert caught.value.failure.provider_code == "INVALID_TOOL_GENERATION"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        stream(delta("content-delta", content={"text": "a"})),
        stream(delta("content-delta", content={"text": "a"}), end(None)),
    ],
)
def test_a_stream_that_just_ends(data):
    with pytest.raises(MalformedAnswerError):
        chunks(data)


def test_an_error_or_an_answer_in_a_streams_place():
    with pytest.raises(ProviderFailureError):
        chunks(b'{"id": "x", "message": "too many tokens"}')
    assert parts(chunks(json.dumps(answer(content="hi")).encode()))[0]["delta"]["content"] == "hi"


def test_version_1_calls():
    payload = {"text": "", "tool_calls": [{"name": "f", "parameters": {"a": 1}}],
               "finish_reason": "COMPLETE"}  # fmt: skip
    choice = read(payload).choices[0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message": {}'])
def test_what_is_no_answer(body):
    with pytest.raises(MalformedAnswerError):
        CohereAdapter().read_response(body, REQUEST)


ERRORS = [
    (401, {"id": "i", "message": "invalid api token"}, ErrorType.AUTHENTICATION),
    (429, {"message": "You are using a Trial key, limited to 20 calls / minute"},
     ErrorType.RATE_LIMIT_EXCEEDED),
    (400, {"message": "invalid request: tool_choice requires tools"}, ErrorType.INVALID_REQUEST),
    (500, {"message": "internal server error"}, ErrorType.PROVIDER_UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error_type"), ERRORS)
def test_errors(status, body, error_type):
    failure = CohereAdapter().read_error(status, {}, json.dumps(body).encode())
    assert failure.error_type is error_type
    assert failure.message == body["message"]
