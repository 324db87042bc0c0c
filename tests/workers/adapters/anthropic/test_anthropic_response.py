import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.anthropic import AnthropicAdapter
from workers.adapters.anthropic.messages import FORMAT
from workers.adapters.anthropic.tools import ANSWER_TOOL
from workers.adapters.base import MalformedAnswerError, ProviderFailureError

WANTED = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}


def read(*content, stop="end_turn", body=None, **more):
    payload = {"type": "message", "id": "m", "content": list(content), "stop_reason": stop, **more}
    request = CompletionRequest(body={"messages": [], **(body or {})}, model="m")
    return AnthropicAdapter().read_response(json.dumps(payload).encode(), request)


def message(*content, **more):
    return read(*content, **more).choices[0]["message"]


def text(said, **more):
    return {"type": "text", "text": said, **more}


def use(name="f", **more):
    return {"type": "tool_use", "id": "t1", "name": name, **more}


def test_a_plain_answer():
    completion = read(
        text("a"),
        text("b"),
        model="claude-x",
        usage={"input_tokens": 1, "output_tokens": 2, "service_tier": "standard"},
    )
    assert completion.choices == [{
        "index": 0,
        "message": {"role": "assistant", "content": "ab", "refusal": None},
        "finish_reason": "stop",
        "native_finish_reason": "end_turn",
    }]  # fmt: skip
    assert completion.usage == Usage(input=1, output=2)
    assert (completion.upstream_id, completion.upstream_model) == ("m", "claude-x")
    assert completion.service_tier == "default"


def test_cached_tokens_are_beside_the_input():
    usage = {"input_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 5,
             "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}  # fmt: skip
    counted = read(usage=usage).usage
    assert counted == Usage(input=1, cache_read=0, cache_write=5, output=9, reasoning=4)
    assert counted.prompt_tokens == 6


@pytest.mark.parametrize(
    ("stop", "content", "finish"),
    [
        ("end_turn", [], "stop"),
        ("stop_sequence", [], "stop"),
        ("pause_turn", [], "stop"),
        ("something_new", [], "error"),
        (None, [], "stop"),
        ("max_tokens", [use()], "length"),
        ("model_context_window_exceeded", [], "length"),
        ("refusal", [], "content_filter"),
        ("tool_use", [use()], "tool_calls"),
        ("end_turn", [use()], "tool_calls"),
    ],
)
def test_stop_reasons(stop, content, finish):
    choice = read(*content, stop=stop).choices[0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish, stop)


def test_a_refusal_is_explained():
    details = {"type": "refusal", "explanation": "because"}
    assert message(stop="refusal", stop_details=details)["refusal"] == "because"


def test_calls():
    calls = message(text("a"), use(input={"a": 1}), use(id=""))["tool_calls"]
    assert calls[0] == {
        "id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'},
    }  # fmt: skip
    assert calls[1]["id"].startswith("call_")
    assert calls[1]["function"]["arguments"] == "{}"
    assert message(use())["content"] is None


THOUGHTS = (
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "thinking", "thinking": "", "signature": "t"},
)


def test_thinking():
    said = message(*THOUGHTS, text("a"))
    assert said["reasoning"] == "hm"
    assert said["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s", "format": FORMAT, "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "format": FORMAT, "index": 1},
        {"type": "reasoning.text", "text": "", "signature": "t", "format": FORMAT, "index": 2},
    ]
    hidden = message(*THOUGHTS, text("a"), body={"reasoning": {"exclude": True}})
    assert set(hidden) == {"role", "content", "refusal"}


def test_server_tools_are_passed_over():
    said = message(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "brand_new"},
        text("a"),
    )
    assert said == {"role": "assistant", "content": "a", "refusal": None}


def test_citations_of_pages_become_annotations():
    page = {"type": "web_search_result_location", "url": "https://h", "title": "T",
            "cited_text": "c"}  # fmt: skip
    document = {"type": "char_location", "document_index": 0, "cited_text": "c"}
    said = message(text("ab"), text("cde", citations=[page, document]), text("f", citations=None))
    assert said["annotations"] == [{
        "type": "url_citation",
        "url_citation": {"url": "https://h", "title": "T", "content": "c",
                         "start_index": 2, "end_index": 5},
    }]  # fmt: skip


def test_the_forced_tools_input_is_the_answer():
    choice = read(use(ANSWER_TOOL, input={"a": 1}), stop="tool_use",
                  body={"response_format": WANTED}).choices[0]  # fmt: skip
    assert choice["message"]["content"] == '{"a":1}'
    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]
    assert "tool_calls" in message(use(ANSWER_TOOL))  # unless the caller has one of that name


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"content": "text"}', b"not json"])
def test_malformed_answers(body):
    with pytest.raises(MalformedAnswerError):
        AnthropicAdapter().read_response(body, CompletionRequest({}, "m"))


@pytest.mark.parametrize(
    ("kind", "error_type", "status"),
    [
        ("overloaded_error", ErrorType.PROVIDER_OVERLOADED, 529),
        ("rate_limit_error", ErrorType.RATE_LIMIT_EXCEEDED, 429),
        ("api_error", ErrorType.PROVIDER_UNAVAILABLE, 500),
        ("request_too_large", ErrorType.PAYLOAD_TOO_LARGE, 413),
        ("billing_error", ErrorType.PAYMENT_REQUIRED, 402),
        ("timeout_error", ErrorType.TIMEOUT, 504),
        ("unheard_of", ErrorType.PROVIDER_UNAVAILABLE, 200),
    ],
)
def test_an_error_inside_an_answer(kind, error_type, status):
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "said"}}).encode()
    with pytest.raises(ProviderFailureError) as caught:
        AnthropicAdapter().read_response(body, CompletionRequest({}, "m"))
    failure = caught.value.failure
    assert (failure.error_type, failure.http_status) == (error_type, status)
    assert (failure.provider_code, failure.message) == (kind, "said")


@pytest.mark.parametrize(
    ("status", "kind", "said", "error_type"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum",
         ErrorType.CONTEXT_LENGTH_EXCEEDED),
        (400, "invalid_request_error", "Your credit balance is too low to access the Claude API",
         ErrorType.PAYMENT_REQUIRED),
        (401, "authentication_error", "invalid x-api-key", ErrorType.AUTHENTICATION),
        (413, "request_too_large", "Request exceeds the maximum size",
         ErrorType.PAYLOAD_TOO_LARGE),
        (529, "overloaded_error", "Overloaded", ErrorType.PROVIDER_OVERLOADED),
    ],
)  # fmt: skip
def test_error_answers(status, kind, said, error_type):
    body = json.dumps({"type": "error", "error": {"type": kind, "message": said}}).encode()
    assert AnthropicAdapter().read_error(status, {}, body).error_type is error_type
