import json
import struct
from zlib import crc32

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.bedrock import BedrockAdapter

REQUEST = CompletionRequest({"messages": []}, "m", stream=True)
USAGE = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 38, "cacheReadInputTokens": 10,
         "cacheWriteInputTokens": 20}  # fmt: skip
COUNTED = Usage(input=3, cache_read=10, cache_write=20, output=5)


def answer(*blocks, stop="end_turn", **more):
    message = {"role": "assistant", "content": list(blocks)}
    return {"output": {"message": message}, "stopReason": stop, "usage": USAGE, **more}


def read(payload):
    return BedrockAdapter().read_response(json.dumps(payload).encode(), REQUEST)


def frame(payload, **headers):
    """One message of the Amazon Event Stream Specification."""
    encoded = b""
    for key, value in headers.items():
        name = ":" + key.replace("_", "-")
        encoded += struct.pack(">B", len(name)) + name.encode()
        encoded += struct.pack(">BH", 7, len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(encoded) + len(body), len(encoded))
    message = prelude + struct.pack(">I", crc32(prelude)) + encoded + body
    return message + struct.pack(">I", crc32(message))


def event(kind, **payload):
    return frame(payload, message_type="event", event_type=kind, content_type="application/json")


def delta(index=0, **said):
    return event("contentBlockDelta", contentBlockIndex=index, delta=said, p="abc")


def use(index, name, **more):
    start = {"toolUse": {"toolUseId": f"t{index}", "name": name, **more}}
    return event("contentBlockStart", contentBlockIndex=index, start=start)


STOP = event("messageStop", stopReason="end_turn")
METADATA = event("metadata", usage=USAGE, serviceTier={"type": "default"})


def chunks(*frames, size=None):
    data = b"".join(frames)
    reader = BedrockAdapter().create_stream_reader(REQUEST)
    size = size or len(data) or 1
    said = [
        chunk for at in range(0, len(data), size) for chunk in reader.feed(data[at : at + size])
    ]
    return said + reader.close()


def parts(read_chunks):
    return [part for chunk in read_chunks for part in chunk.choices]


STOPS = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("tool_use", "tool_calls"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("guardrail_intervened", "content_filter"),
    ("content_filtered", "content_filter"),
    ("malformed_model_output", "error"),
    ("malformed_tool_use", "error"),
    ("news", "error"),
]


@pytest.mark.parametrize(("native", "word"), STOPS)
def test_stop_reasons(native, word):
    choice = read(answer({"text": "a"}, stop=native)).choices[0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (word, native)


def test_a_whole_answer():
    citation = {"location": {"web": {"url": "https://x", "domain": "x"}}, "title": "X"}
    completion = read(
        answer(
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "QQ=="}},
            {"toolUse": {"toolUseId": "0", "name": "web", "input": {}, "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "0", "content": [{"text": "found"}]}},
            {"text": "So "},
            {"citationsContent": {"content": [{"text": "it is"}], "citations": [citation]}},
            {"image": {"format": "png", "source": {"bytes": "iVBOR"}}},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            stop="tool_use",
            serviceTier={"type": "flex"},
        )
    )
    assert completion.choices[0]["message"] == {
        "role": "assistant",
        "content": "So it is",
        "refusal": None,
        "reasoning": "hm",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "hm", "signature": "s",
             "format": "anthropic-claude-v1", "index": 0},
            {"type": "reasoning.encrypted", "data": "QQ==", "format": "anthropic-claude-v1",
             "index": 1},
        ],
        "annotations": [{"type": "url_citation", "url_citation": {
            "url": "https://x", "title": "X", "start_index": 3, "end_index": 8}}],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}],
        "tool_calls": [{"id": "t", "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'}}],
    }  # fmt: skip
    assert completion.usage == COUNTED
    assert completion.service_tier == "flex"


@pytest.mark.parametrize("size", [None, 1, 7, 100])
def test_a_stream(size):
    read_chunks = chunks(
        event("messageStart", role="assistant"),
        delta(reasoningContent={"text": "hm"}),
        delta(reasoningContent={"signature": "s"}),
        event("contentBlockStop", contentBlockIndex=0),
        delta(1, text="é"),
        delta(1, text="!"),
        event("contentBlockStop", contentBlockIndex=1),
        use(2, "f"),
        delta(2, toolUse={"input": '{"a"'}),
        delta(2, toolUse={"input": ":1}"}),
        use(3, "web", type="server_tool_use"),
        delta(3, toolUse={"input": "{}"}),
        use(4, "g"),
        event("somethingNew"),
        event("messageStop", stopReason="tool_use"),
        METADATA,
        size=size,
    )
    detail = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    assert [part["delta"] for part in parts(read_chunks)] == [
        {"role": "assistant", "content": "", "reasoning": "hm",
         "reasoning_details": [detail | {"text": "hm"}]},
        {"reasoning_details": [detail | {"signature": "s"}]},
        {"content": "é"},
        {"content": "!"},
        {"tool_calls": [{"index": 0, "id": "t2", "type": "function",
                         "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "id": "t4", "type": "function",
                         "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]  # fmt: skip
    assert [part["finish_reason"] for part in parts(read_chunks)] == [None] * 8 + ["tool_calls"]
    assert read_chunks[-1].usage == COUNTED
    assert read_chunks[-1].service_tier == "default"


def test_citations_and_images_of_a_stream():
    image = {"image": {"format": "jpeg"}}
    read_chunks = chunks(
        delta(text="So "),
        event("contentBlockStop", contentBlockIndex=0),
        delta(1, text="it is"),
        delta(1, citation={"location": {"web": {"url": "https://x"}}}),
        event("contentBlockStart", contentBlockIndex=2, start=image),
        delta(2, image={"source": {"bytes": "/9j/"}}),
        event("contentBlockStop", contentBlockIndex=2),
        STOP,
    )
    noted, drawn = (part["delta"] for part in parts(read_chunks)[2:4])
    cited = {"url": "https://x", "title": "https://x", "start_index": 3, "end_index": 8}
    assert noted == {"annotations": [{"type": "url_citation", "url_citation": cited}]}
    assert drawn["images"][0]["image_url"]["url"] == "data:image/jpeg;base64,/9j/"


EXCEPTIONS = [
    ("throttlingException", "Too many requests, please wait before trying again.",
     ErrorType.RATE_LIMIT_EXCEEDED, 429),
    ("modelStreamErrorException", "The model failed.", ErrorType.PROVIDER_UNAVAILABLE, 424),
    ("internalServerException", "Internal", ErrorType.PROVIDER_UNAVAILABLE, 500),
    ("serviceUnavailableException", "Unavailable", ErrorType.PROVIDER_UNAVAILABLE, 503),
    ("modelTimeoutException", "Took too long", ErrorType.TIMEOUT, 408),
    ("validationException", "Malformed input request", ErrorType.INVALID_REQUEST, 400),
    ("validationException", "Input is too long for requested model.",
     ErrorType.CONTEXT_LENGTH_EXCEEDED, 400),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message", "error_type", "status"), EXCEPTIONS)
def test_exceptions_in_a_stream(name, message, error_type, status):
    failed = frame({"message": message}, message_type="exception", exception_type=name)
    reader = BedrockAdapter().create_stream_reader(REQUEST)
    assert parts(reader.feed(delta(text="a") + failed))[0]["delta"]["content"] == "a"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    failure = caught.value.failure
    assert (failure.error_type, failure.http_status) == (error_type, status)
    assert (failure.message, failure.provider_code) == (message, name)


def test_an_error_the_service_does_not_model():
    failed = frame({}, message_type="error", error_code="InternalError", error_message="Oh")
    with pytest.raises(ProviderFailureError) as caught:
        chunks(failed)
    assert caught.value.failure.message == "Oh"


CUT = b"".join((delta(text="a"), STOP))
BROKEN = CUT[:9] + b"\xff" + CUT[10:]


@pytest.mark.parametrize("data", [b"", CUT[:-1], CUT[: len(CUT) // 2], BROKEN, b"<html>" * 9])
def test_a_stream_that_just_ends_or_is_none(data):
    with pytest.raises(MalformedAnswerError):
        chunks(data)


def test_an_error_or_an_answer_in_a_streams_place():
    with pytest.raises(ProviderFailureError):
        chunks(b'{"message": "The security token is expired"}')
    read_chunks = chunks(json.dumps(answer({"text": "hi"})).encode(), size=5)
    assert parts(read_chunks)[0]["delta"]["content"] == "hi"
    assert read_chunks[-1].usage == COUNTED


def test_what_is_no_answer():
    for body in (b"", b"[]", b"{}", b'{"output": {}}'):
        with pytest.raises(MalformedAnswerError):
            BedrockAdapter().read_response(body, REQUEST)
    nonsense = b'{"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}}'
    with pytest.raises(ProviderFailureError):
        BedrockAdapter().read_response(nonsense, REQUEST)


ERRORS = [
    (429, "ThrottlingException", "Too many tokens, please wait", ErrorType.RATE_LIMIT_EXCEEDED),
    (403, "AccessDeniedException", "not authorized to perform", ErrorType.PERMISSION_DENIED),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.",
     ErrorType.AUTHENTICATION),
    (400, "ValidationException", "The provided model identifier is invalid.", ErrorType.NOT_FOUND),
    (404, "ResourceNotFoundException", "Could not resolve the model", ErrorType.NOT_FOUND),
    (424, "ModelErrorException", "The model failed", ErrorType.PROVIDER_UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("status", "name", "message", "error_type"), ERRORS)
def test_errors(status, name, message, error_type):
    headers = {"X-Amzn-ErrorType": f"{name}:http://internal.amazon.com/"}
    body = json.dumps({"message": message}).encode()
    failure = BedrockAdapter().read_error(status, headers, body)
    assert (failure.error_type, failure.provider_code) == (error_type, name)
