import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.gemini import GeminiAdapter


def chunk(*parts, finish=None, usage=None, **candidate):
    entry = {"content": {"parts": list(parts), "role": "model"}, **candidate}
    if finish:
        entry["finishReason"] = finish
    return {"candidates": [entry], "responseId": "r", "usageMetadata": usage or {}}


def sse(*payloads):
    return "".join(f"data: {json.dumps(payload)}\r\n\r\n" for payload in payloads).encode()


def array(*payloads):
    return json.dumps(payloads, indent=1).encode()


def read(data, body=None, size=None):
    request = CompletionRequest({"messages": [], **(body or {})}, "m", stream=True)
    reader = GeminiAdapter().create_stream_reader(request)
    chunks = []
    step = size or len(data) or 1
    for start in range(0, len(data), step):
        chunks += reader.feed(data[start : start + step])
    return chunks + reader.close()


def choices(*payloads, **more):
    return [part for told in read(sse(*payloads), **more) for part in told.choices]


@pytest.mark.parametrize("framing", [sse, array])
@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_plain_stream(framing, size):
    payloads = [
        chunk({"text": 'a "{[\\'}, usage={"promptTokenCount": 3, "totalTokenCount": 3}),
        {"usageMetadata": {"trafficType": "ON_DEMAND"}, "responseId": "r"},
        chunk({"text": "é}"}, usage={"promptTokenCount": 3, "candidatesTokenCount": 1}),
        chunk({"text": ""}, finish="STOP",
              usage={"promptTokenCount": 3, "candidatesTokenCount": 2}),
    ]  # fmt: skip
    chunks = read(framing(*payloads), size=size)
    assert [part for told in chunks for part in told.choices] == [
        {"index": 0, "delta": {"role": "assistant", "content": 'a "{[\\'}, "finish_reason": None},
        {"index": 0, "delta": {"content": "é}"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop", "native_finish_reason": "STOP"},
    ]
    assert chunks[-1].usage == Usage(input=3, output=2)
    assert [told.usage for told in chunks[:-1]] == [None] * 3
    assert {told.upstream_id for told in chunks} == {"r"}


def test_calls_in_several_chunks():
    first = chunk({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"})
    told = choices(first, chunk({"functionCall": {"name": "f"}}, finish="STOP"))
    calls = [call for part in told for call in part["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 1]
    assert [call["function"]["arguments"] for call in calls] == ['{"a":1}', "{}"]
    assert calls[0]["id"] != calls[1]["id"]
    assert told[0]["delta"]["content"] is None
    assert told[-1]["finish_reason"] == "tool_calls"


def test_thoughts_continue_each_other():
    told = choices(
        chunk({"text": "h", "thought": True}),
        chunk({"text": "m", "thought": True}, {"text": "a"}),
        chunk({"text": "n", "thought": True}),
        chunk({"text": "", "thoughtSignature": "t"}, finish="STOP"),
    )
    details = [d for part in told for d in part["delta"].get("reasoning_details", ())]
    assert [(d["index"], d.get("text", d.get("data"))) for d in details] == [
        (0, "h"), (0, "m"), (1, "n"), (2, "t"),
    ]  # fmt: skip


def test_sources_come_last():
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": {"text": "bc"}, "groundingChunkIndices": [0]}],
    }
    told = choices(chunk({"text": "ab"}, groundingMetadata={}),
                   chunk({"text": "c"}, finish="STOP", groundingMetadata=metadata))  # fmt: skip
    citation = told[-1]["delta"]["annotations"][0]["url_citation"]
    assert (citation["start_index"], citation["end_index"]) == (1, 3)


def test_each_candidate_finishes():
    told = choices(
        chunk({"text": "a"}, index=0, finish="STOP"), chunk({"text": "b"}, index=1, finish="SAFETY")
    )
    assert [part["finish_reason"] for part in told] == [None, None, "stop", "content_filter"]


@pytest.mark.parametrize("framing", [sse, array])
def test_an_error_in_the_middle(framing):
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    data = framing(chunk({"text": "a"}), error)
    reader = GeminiAdapter().create_stream_reader(CompletionRequest({}, "m", stream=True))
    assert reader.feed(data)[0].choices[0]["delta"]["content"] == "a"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    assert caught.value.failure.error_type is ErrorType.PROVIDER_OVERLOADED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"[]",
        sse(chunk({"text": "a"})),
        array(chunk({"text": "a"})),
        array(chunk({"text": "a"}, finish="STOP"))[:-9],
        sse({"usageMetadata": {"promptTokenCount": 1}}),
    ],
)
def test_a_stream_that_just_ends(data):
    with pytest.raises(MalformedAnswerError):
        read(data)


def test_a_blocked_prompt():
    told = choices({"promptFeedback": {"blockReason": "SAFETY"}})
    assert told[0]["finish_reason"] == "content_filter"
    assert told[0]["delta"]["role"] == "assistant"


def test_one_object_in_a_streams_place():
    data = json.dumps(chunk({"text": "a"}, finish="STOP")).encode()
    assert read(data)[0].choices[0]["delta"]["content"] == "a"
