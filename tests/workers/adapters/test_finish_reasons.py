"""The finish reasons of every wire: one table, and nothing unknown looks complete."""

import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.choices import finish_reason
from workers.adapters.registry import ADAPTERS

REQUEST = CompletionRequest(body={"messages": [{"role": "user", "content": "a"}]}, model="m")

TABLE = {
    "stop": ["stop", "STOP", "eos", "EOS_TOKEN", "end_turn", "COMPLETE", "stop_sequence", "", None],
    "length": ["length", "MAX_TOKENS", "model_length", "model_context_window_exceeded"],
    "content_filter": [
        *("content_filter", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("LANGUAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        *("MODEL_ARMOR", "refusal", "guardrail_intervened", "ERROR_TOXIC", "sensitive"),
    ],
    "error": [
        *("error", "UNEXPECTED_TOOL_CALL", "MALFORMED_FUNCTION_CALL", "TOO_MANY_TOOL_CALLS"),
        *("MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "OTHER"),
        *("FINISH_REASON_UNSPECIFIED", "malformed_model_output", "abort", "network_error"),
        *("a_word_of_next_year", "42"),
    ],
}
ROWS = [(native, word) for word, natives in TABLE.items() for native in natives]
TEXT = "said"


def openai(native):
    message = {"role": "assistant", "content": TEXT}
    return {"choices": [{"index": 0, "message": message, "finish_reason": native}]}


def gemini(native):
    candidate = {"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": native}
    return {"candidates": [candidate]}


def anthropic(native):
    return {"content": [{"type": "text", "text": TEXT}], "stop_reason": native}


def converse(native):
    return {"output": {"message": {"content": [{"text": TEXT}]}}, "stopReason": native}


def cohere(native):
    return {"message": {"content": [{"type": "text", "text": TEXT}]}, "finish_reason": native}


def responses(native):
    said = {"type": "output_text", "text": TEXT}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [said]}
    return {"object": "response", "status": native, "output": [item]}


ANSWERS = {
    "openai": openai,
    "azure": openai,
    "mistral": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": converse,
    "cohere": cohere,
    "responses": responses,
}


@pytest.mark.parametrize("wire", ADAPTERS)
@pytest.mark.parametrize(("native", "word"), ROWS)
def test_every_wire_reads_every_vendors_words(wire, native, word):
    answer = json.dumps(ANSWERS[wire](native)).encode()
    [choice] = ADAPTERS[wire].read_response(answer, REQUEST).choices
    assert choice["finish_reason"] == word
    assert choice["native_finish_reason"] == (native if native or wire == "openai" else None) or (
        native == ""
    )


@pytest.mark.parametrize(("native", "word"), ROWS)
def test_a_streamed_choice_is_read_by_the_same_table(native, word):
    delta = {"role": "assistant", "content": TEXT}
    event = {"choices": [{"index": 0, "delta": delta, "finish_reason": native or "stop"}]}
    reader = ADAPTERS["openai"].create_stream_reader(REQUEST)
    chunks = reader.feed(b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n")
    chunks += reader.close()
    [finish] = [
        choice["finish_reason"]
        for chunk in chunks
        for choice in chunk.choices
        if choice["finish_reason"]
    ]
    assert finish == word


@pytest.mark.parametrize("native", ["stop", "", None, "end_turn"])
def test_calls_settle_a_natural_end(native):
    assert finish_reason(native, called=True) == "tool_calls"


@pytest.mark.parametrize("native", ["length", "MALFORMED_FUNCTION_CALL", "a_word_of_next_year"])
def test_calls_hide_no_other_end(native):
    assert finish_reason(native, called=True) != "tool_calls"
