import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.anthropic import AnthropicAdapter
from workers.adapters.anthropic.messages import FORMAT
from workers.adapters.anthropic.tools import ANSWER_TOOL
from workers.adapters.base import MalformedAnswerError, ProviderFailureError

USAGE = {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "m", "model": "claude-x", "usage": USAGE}}
STOP = {"type": "message_stop"}


def end(reason="end_turn", **usage):
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def block(index, kind, *deltas, **start):
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, **start}},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def said(text):
    return {"type": "text_delta", "text": text}


def partial(text):
    return {"type": "input_json_delta", "partial_json": text}


def encoded(*events):
    return "".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events
    ).encode()


def read(*events, body=None):
    request = CompletionRequest({"messages": [], **(body or {})}, "m", stream=True)
    reader = AnthropicAdapter().create_stream_reader(request)
    return reader.feed(encoded(*events)) + reader.close()


def deltas(*events, **more):
    return [chunk.choices[0]["delta"] for chunk in read(START, *events, **more) if chunk.choices]


def test_a_plain_stream():
    ping = {"type": "ping"}
    events = block(0, "text", said("Hel"), said("lo"), text="")
    chunks = read(START, ping, *events, {"type": "new"}, end(output_tokens=7), STOP)
    assert [dict(chunk.choices[0]) for chunk in chunks[:-1]] == [
        {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop", "native_finish_reason": "end_turn"},
    ]
    assert chunks[-1].usage == Usage(input=3, cache_read=2, output=7)
    assert {(c.upstream_id, c.upstream_model) for c in chunks} == {("m", "claude-x")}


def test_the_last_count_is_the_count():
    chunks = read(START, end(None, output_tokens=4), end(input_tokens=0, output_tokens=9), STOP)
    assert chunks[-1].usage == Usage(input=3, cache_read=2, output=9)


def test_calls_are_numbered_among_themselves():
    told = deltas(
        *block(0, "server_tool_use", partial('{"q": 1}'), id="s", name="web_search", input={}),
        *block(1, "tool_use", partial(""), partial('{"a"'), partial(": 1}"), id="t", name="f"),
        *block(2, "tool_use", partial(""), id="u", name="g", input={}),
        end("tool_use"),
        STOP,
    )
    first = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert told[0] == {"role": "assistant", "content": None, "tool_calls": [first]}
    assert [delta["tool_calls"][0]["function"]["arguments"] for delta in told[:-1]] == [
        "", '{"a"', ": 1}", "", "{}",
    ]  # fmt: skip
    assert told[-2]["tool_calls"][0]["index"] == 1


def test_an_input_that_came_whole():
    told = deltas(*block(0, "tool_use", id="t", name="f", input={"a": 1}), end("tool_use"), STOP)
    assert "".join(d["tool_calls"][0]["function"]["arguments"] for d in told[:-1]) == '{"a":1}'


def test_thinking():
    thought = [
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "s"},
    ]
    events = [
        *block(0, "thinking", *thought, thinking="", signature=""),
        *block(1, "redacted_thinking", data="d"),
        *block(2, "text", said("a"), text=""),
        end(),
        STOP,
    ]
    told = deltas(*events)
    assert "".join(delta.get("reasoning", "") for delta in told) == "hm"
    details = [detail for delta in told for detail in delta.get("reasoning_details", ())]
    common = {"type": "reasoning.text", "format": FORMAT, "index": 0}
    assert details == [
        {**common, "text": "h"},
        {**common, "text": "m"},
        {**common, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "d", "format": FORMAT, "index": 1},
    ]
    hidden = deltas(*events, body={"include_reasoning": False})
    assert hidden == [{"role": "assistant", "content": "a"}, {}]


def test_citations_follow_their_text():
    page = {"type": "web_search_result_location", "url": "https://h", "cited_text": "c"}
    told = deltas(
        *block(0, "text", said("ab"), text=""),
        *block(1, "text", {"type": "citations_delta", "citation": page}, said("cd"), text=""),
        end(),
        STOP,
    )
    citation = told[2]["annotations"][0]["url_citation"]
    assert (citation["start_index"], citation["end_index"]) == (2, 4)


def test_the_forced_tools_input_is_the_answer():
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    events = block(0, "tool_use", partial('{"a"'), partial(": 1}"), id="t", name=ANSWER_TOOL)
    chunks = read(START, *events, end("tool_use"), STOP, body={"response_format": wanted})
    parts = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(part["delta"].get("content", "") for part in parts) == '{"a": 1}'
    assert parts[-1]["finish_reason"] == "stop"


def test_an_error_in_the_middle():
    # platform.claude.com/docs/en/build-with-claude/streaming, "Error events".
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader = AnthropicAdapter().create_stream_reader(CompletionRequest({}, "m", stream=True))
    chunks = reader.feed(encoded(START, *block(0, "text", said("a"), text="")[:2], error))
    assert chunks[0].choices[0]["delta"]["content"] == "a"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    assert caught.value.failure.error_type is ErrorType.PROVIDER_OVERLOADED
    assert caught.value.failure.message == "Overloaded"


@pytest.mark.parametrize(
    "events",
    [
        (),
        (START,),
        (START, *block(0, "text", said("a"), text="")),
        (START, STOP),
        (START, end(None)),
    ],
)
def test_a_stream_that_just_ends(events):
    with pytest.raises(MalformedAnswerError):
        read(*events)


def test_a_stop_reason_is_enough():
    assert read(START, end())[0].choices[0]["finish_reason"] == "stop"


def test_an_empty_answer_still_has_a_role():
    assert deltas(end("refusal"), STOP) == [{"role": "assistant", "content": ""}]


def test_a_document_in_a_streams_place():
    request = CompletionRequest({"messages": []}, "m", stream=True)
    whole = {"type": "message", "content": [{"type": "text", "text": "a"}], "usage": USAGE,
             "stop_reason": "end_turn"}  # fmt: skip
    reader = AnthropicAdapter().create_stream_reader(request)
    chunks = reader.feed(json.dumps(whole).encode()) + reader.close()
    assert chunks[0].choices[0]["delta"] == {"role": "assistant", "content": "a"}
    assert chunks[-1].usage
    reader = AnthropicAdapter().create_stream_reader(request)
    with pytest.raises(ProviderFailureError):
        reader.feed(b'{"type":"error","error":{"type":"api_error","message":"x"}}')


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        ("overloaded_error", 529, ErrorType.PROVIDER_OVERLOADED),
        ("request_too_large", 413, ErrorType.PAYLOAD_TOO_LARGE),
        ("api_error", 500, ErrorType.PROVIDER_UNAVAILABLE),
        ("rate_limit_error", 429, ErrorType.RATE_LIMIT_EXCEEDED),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_named_error_event_keeps_the_status_its_type_stands_for(kind, status, error_type, bare):
    error = {"type": kind, "message": "Some words"}
    data = json.dumps(error if bare else {"type": "error", "error": error})
    with pytest.raises(ProviderFailureError) as caught:
        AnthropicAdapter().create_stream_reader(CompletionRequest({}, "m", stream=True)).feed(
            f"event: error\ndata: {data}\n\n".encode()
        )
    assert caught.value.failure.http_status == status
    assert caught.value.failure.error_type is error_type
