import json

import pytest

from broker.completion import CompletionRequest, ErrorType
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.openai import OpenAiAdapter

REQUEST = CompletionRequest(body={"messages": [{}]}, model="m")
LEGACY = CompletionRequest(body={"messages": [{}], "functions": []}, model="m")


def answer(payload, request=REQUEST):
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return OpenAiAdapter().read_response(data, request)


def choice_of(message, request=REQUEST, **choice):
    return answer({"id": "x", "choices": [{"message": message, **choice}]}, request).choices[0]


def message_of(message, request=REQUEST, **choice):
    return choice_of(message, request, **choice)["message"]


def call(name="f", arguments='{"a":1}', **more):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments},
            **more}  # fmt: skip


def test_the_envelope():
    read = answer({"id": "x", "model": "m", "system_fingerprint": "", "service_tier": "default",
                   "choices": [{"index": 0, "finish_reason": "stop",
                                "message": {"role": "assistant", "content": "hi"},
                                "logprobs": {"content": []}}]})  # fmt: skip
    assert (read.upstream_id, read.upstream_model, read.service_tier) == ("x", "m", "default")
    assert read.system_fingerprint is None
    assert read.usage is None
    assert read.choices == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None},
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "logprobs": {"content": []},
        }
    ]


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        (None, None, None),
        ("", "", None),
        ("a", "a", None),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", None),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
          {"type": "text", "text": "a"}], "a", "r"),
        ([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "a"}], "a", None),
        ({"name": "Emily", "age": 32}, '{"name":"Emily","age":32}', None),
        ("<think>\nr\n</think>\n\na", "a", "r\n"),
        ("<think>cut", "", "cut"),
    ],
)  # fmt: skip
def test_content(content, text, reasoning):
    message = message_of({"content": content})
    assert message["content"] == text
    assert message.get("reasoning") == reasoning


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_beside_the_content(field):
    message = message_of({"content": "<think>a", field: "r"})
    assert (message["content"], message["reasoning"]) == ("<think>a", "r")


@pytest.mark.parametrize(
    ("calls", "names_and_arguments"),
    [
        (None, []),
        ([], []),
        ([call()], [("f", '{"a":1}')]),
        ([call(arguments={"a": 1})], [("f", '{"a":1}')]),
        ([call(arguments=None)], [("f", "{}")]),
        ([call(arguments="")], [("f", "{}")]),
        ([call(name="")], []),
        ([{"name": "f", "arguments": {}}], [("f", "{}")]),
        ([call(), "junk", call("g")], [("f", '{"a":1}'), ("g", '{"a":1}')]),
    ],
)
def test_tool_calls(calls, names_and_arguments):
    read = message_of({"content": None, "tool_calls": calls}).get("tool_calls", [])
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in read] == (
        names_and_arguments
    )
    assert all(c["type"] == "function" for c in read)
    assert len({c["id"] for c in read}) == len(read)


def test_missing_ids_are_made_up_the_same_way_every_time():
    calls = [call(id=None), call(id=""), call("g", id=None)]
    first, again = (message_of({"tool_calls": calls})["tool_calls"] for _ in range(2))
    assert first == again
    later = CompletionRequest(body={"messages": [{}, {}, {}]}, model="m")
    assert message_of({"tool_calls": calls}, later)["tool_calls"] != first


def test_custom_tools_stay_custom():
    custom = {"id": "c", "type": "custom", "custom": {"name": "n", "input": "4 + 4"}}
    assert message_of({"tool_calls": [custom]})["tool_calls"] == [custom]


def test_a_function_call_has_the_form_the_caller_asked_in():
    message = {"content": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert message_of(message, LEGACY)["function_call"]["name"] == "f"
    assert "tool_calls" not in message_of(message, LEGACY)
    assert message_of(message)["tool_calls"][0]["function"]["name"] == "f"
    assert choice_of(message, LEGACY, finish_reason="function_call")["finish_reason"] == (
        "tool_calls"
    )


@pytest.mark.parametrize(
    ("given", "called", "finish"),
    [
        ("stop", False, "stop"), ("eos", False, "stop"), ("", False, "stop"), (None, False, "stop"),
        ("COMPLETE", False, "stop"), ("end_turn", False, "stop"), ("stop", True, "tool_calls"),
        ("", True, "tool_calls"), ("tool_call", True, "tool_calls"), ("length", True, "length"),
        ("max_tokens", False, "length"), ("MAX_TOKENS", False, "length"),
        ("model_length", False, "length"), ("SAFETY", False, "content_filter"),
        ("content_filter", False, "content_filter"), ("sensitive", False, "content_filter"),
        ("error", False, "error"), ("insufficient_system_resource", False, "error"),
        ("never heard of", False, "error"), (7, False, "error"),
    ],
)  # fmt: skip
def test_finish_reasons(given, called, finish):
    message = {"content": "a", "tool_calls": [call()] if called else None}
    choice = choice_of(message, finish_reason=given)
    assert choice["finish_reason"] == finish
    assert choice["native_finish_reason"] == (given if isinstance(given, str) else None)


def test_openrouters_native_reason_is_kept():
    choice = choice_of({"content": ""}, finish_reason="stop", native_finish_reason="STOP")
    assert choice["native_finish_reason"] == "STOP"


def test_empty_fields_say_nothing():
    message = message_of({"content": "a", "refusal": "", "annotations": [], "tool_calls": [],
                          "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""},
                          "function_call": {"name": "", "arguments": ""}})  # fmt: skip
    assert message == {"role": "assistant", "content": "a", "refusal": None}


def test_full_fields_are_kept():
    given = {"content": "a", "refusal": "no", "annotations": [{"type": "url_citation"}],
             "images": [{"type": "image_url"}], "audio": {"id": "x"}, "reasoning_details": [{}],
             "extra_content": {"google": {}}, "provider_metadata": {"big": 1}}  # fmt: skip
    read = message_of(given)
    del given["provider_metadata"]
    assert read == {"role": "assistant", **given}


def test_citations_become_annotations():
    payload = {"choices": [{"message": {"content": "a"}}], "citations": ["https://u"]}
    note = answer(payload).choices[0]["message"]["annotations"][0]
    assert note["url_citation"]["url"] == "https://u"


def test_blank_lines_before_the_body():
    assert answer(b'\n   \n\n{"choices": [{"message": {"content": "a"}}]}').choices


@pytest.mark.parametrize(
    ("payload", "error_type"),
    [
        ({"error": {"code": 502, "message": "x"}}, ErrorType.PROVIDER_UNAVAILABLE),
        ({"error": "overloaded"}, ErrorType.PROVIDER_OVERLOADED),
        ({"choices": [{"message": {"content": "half"}, "finish_reason": "error",
                       "error": {"code": 429, "message": "x"}}]}, ErrorType.RATE_LIMIT_EXCEEDED),
        ([{"error": {"code": 400, "message": "API key not valid."}}], ErrorType.AUTHENTICATION),
        ({"object": "error", "message": "no", "code": 404}, ErrorType.NOT_FOUND),
    ],
)  # fmt: skip
def test_failures_inside_a_200(payload, error_type):
    with pytest.raises(ProviderFailureError) as caught:
        answer(payload)
    assert caught.value.failure.error_type is error_type


def test_azures_filter_error_is_no_failure():
    filtered = {"error": {"code": "content_filter_error", "message": "not filtered"}}
    assert choice_of({"content": "a"}, content_filter_result=filtered)["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"<html>", b"[]", b"3", b"null", b"{}", b'{"choices": []}', b'{"choices": [1]}',
     b'{"choices": [{"message": null}]}', b'{"error": null, "choices": null}'],
)  # fmt: skip
def test_what_is_not_the_wire(payload):
    with pytest.raises(MalformedAnswerError):
        answer(payload)


def test_a_call_that_is_no_list():
    read = choice_of({"content": None, "tool_calls": call()}, finish_reason="tool_call")
    assert read["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert read["finish_reason"] == "tool_calls"
    assert "tool_calls" not in message_of({"content": "a", "tool_calls": {}})


def test_reasoning_the_caller_excluded():
    body = {"messages": [{}], "reasoning": {"exclude": True}}
    message = {"content": "A", "reasoning_content": "T", "reasoning_details": [{"type": "x"}]}
    read = message_of(message, CompletionRequest(body=body, model="m"))
    assert read == {"role": "assistant", "content": "A", "refusal": None}


@pytest.mark.parametrize("kind", ["function", "custom", None, ""])
def test_only_the_member_of_a_call_that_says_something_counts(kind):
    function = {"name": "f", "arguments": '{"a":1}'}
    custom = {"name": "g", "input": "text"}
    empty = {"name": "", "input": ""}
    named = {"type": kind} if kind is not None else {}
    [read] = message_of(
        {"content": "", "tool_calls": [{"id": "c", "function": function, "custom": empty, **named}]}
    )["tool_calls"]
    assert read == {"id": "c", "type": "function", "function": function}
    [read] = message_of(
        {"content": "", "tool_calls": [{"id": "c", "custom": custom, "function": {"name": ""}}]}
    )["tool_calls"]
    assert read == {"id": "c", "type": "custom", "custom": custom}
