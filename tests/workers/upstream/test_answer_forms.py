"""Read an answer by its own content type, encoding and size."""

import gzip
import json

import pytest

from broker.completion import AttemptOutcome, Completion, CompletionRequest, Failure, Usage
from tests.workers.adapters.streams import REQUEST, STREAMS
from tests.workers.upstream.provider_socket import Provider, ask

PLAIN = CompletionRequest(REQUEST.body, "m")
TEXT = "Hello world"
COUNTED = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ANSWERS = {
    "openai": {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT},
                "finish_reason": "stop",
            }
        ],
        "usage": COUNTED,
    },
    "anthropic": {
        "type": "message",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
    "gemini": {
        "candidates": [{"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5},
    },
    "cohere": {
        "message": {"content": [{"type": "text", "text": TEXT}]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 10, "output_tokens": 5}},
    },
    "bedrock": {
        "output": {"message": {"content": [{"text": TEXT}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 10, "outputTokens": 5},
    },
    "responses": {
        "object": "response",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}],
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
}
ANSWERS |= {"azure": ANSWERS["openai"], "mistral": ANSWERS["openai"]}
WIRES = pytest.mark.parametrize("wire", STREAMS)
BOM = b"\xef\xbb\xbf"


async def answered(wire, request, body, *head, most=1_000_000):
    async with Provider(head, [body], chunked=False).serving() as address:
        return (await ask(address, wire, request, most=most)).answer


def check(answer):
    assert isinstance(answer, Completion), answer
    assert answer.choices[0]["message"]["content"] == TEXT
    assert answer.choices[0]["finish_reason"] == "stop"
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output) == (10, 5)


@WIRES
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
async def test_an_event_stream_for_a_plain_request(wire, content_type):
    stream = STREAMS[wire]
    if wire == "bedrock" and content_type:
        pytest.skip("its binary events are known by their content type alone")
    head = f"content-type: {content_type or stream.content_type + '; charset=utf-8'}"
    check(await answered(wire, PLAIN, stream.whole, head))


@WIRES
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["stream", "plain"])
async def test_a_json_document_for_any_request(wire, content_type, request_):
    body = json.dumps(ANSWERS[wire]).encode()
    check(await answered(wire, request_, body, f"content-type: {content_type}"))


@WIRES
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["stream", "plain"])
async def test_a_byte_order_mark_before_a_document(wire, request_):
    body = BOM + json.dumps(ANSWERS[wire]).encode()
    check(await answered(wire, request_, body, "content-type: application/json"))


@WIRES
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "X-GZIP"])
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["stream", "plain"])
async def test_gzip_by_either_name(wire, encoding, request_):
    stream = STREAMS[wire]
    plain = json.dumps(ANSWERS[wire]).encode()
    kind = stream.content_type if request_.stream else "application/json"
    body = gzip.compress(stream.whole if request_.stream else plain)
    head = (f"content-type: {kind}", f"content-encoding: {encoding}")
    check(await answered(wire, request_, body, *head))


@pytest.mark.parametrize("size", [9_000, 40_000, 64_000])
async def test_long_header_lines(size):
    body = json.dumps(ANSWERS["openai"]).encode()
    head = ("content-type: application/json", f"content-security-policy: {'x' * size}")
    check(await answered("openai", PLAIN, body, *head))


async def test_many_header_lines():
    body = json.dumps(ANSWERS["openai"]).encode()
    many = [f"x-trace-{number}: x" for number in range(500)]
    check(await answered("openai", PLAIN, body, "content-type: application/json", *many))


async def test_a_header_line_that_is_too_long_is_called_so():
    answer = await answered("openai", PLAIN, b"{}", f"x-trace: {'x' * 70_000}")
    assert isinstance(answer, Failure)
    assert answer.message == "p sent a header line of more than 65536 bytes."


@pytest.mark.parametrize("wire", ["openai", "gemini", "anthropic", "cohere"])
@pytest.mark.parametrize("megabytes", [1, 20])
async def test_an_event_may_be_as_large_as_an_answer(wire, megabytes):
    text = "x" * (megabytes * 1_000_000)
    body = STREAMS[wire].whole.replace(b'"world"', f'"{text}"'.encode())
    head = "content-type: text/event-stream"
    answer = await answered(wire, REQUEST, body, head, most=30_000_000)
    assert isinstance(answer, Completion)
    assert len(answer.choices[0]["message"]["content"]) == len(text) + len("Hello ")


@WIRES
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["stream", "plain"])
async def test_an_answer_that_is_too_large_is_not_bought_again(wire, request_):
    stream = STREAMS[wire]
    kind = stream.content_type if request_.stream else "application/json"
    body = stream.whole if request_.stream else json.dumps(ANSWERS[wire]).encode()
    answer = await answered(wire, request_, body, f"content-type: {kind}", most=50)
    assert isinstance(answer, Failure)
    assert answer.answered
    assert "more than 50 bytes" in answer.message


UNREADABLE = {
    "not JSON": lambda body: b"\x00oops " + body,
    "no choice": lambda body: (
        body.replace(b"choices", b"chances")
        .replace(b'"candidates"', b'"chances"')
        .replace(b'"content": [', b'"contents": [')
        .replace(b'"output": [', b'"outputs": [')
        .replace(b'"message"', b'"massage"')
    ),
    "cut in half": lambda body: body[: body.rindex(b"}")],
}


@WIRES
@pytest.mark.parametrize("change", UNREADABLE)
async def test_an_unreadable_answer_is_answered_and_keeps_the_usage_it_states(wire, change):
    body = UNREADABLE[change](json.dumps(ANSWERS[wire]).encode())
    answer = await answered(wire, PLAIN, body, "content-type: application/json")
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.UNKNOWN
    assert answer.answered
    assert isinstance(answer.usage, Usage)
    assert (answer.usage.input, answer.usage.output) == (10, 5)
    assert "aiohttp" not in answer.message.lower()
