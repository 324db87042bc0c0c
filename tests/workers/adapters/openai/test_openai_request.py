import json

import pytest

from broker.completion import CompletionRequest
from broker.requests.hints import HINTS, QUIRKS
from workers.adapters.base import Upstream
from workers.adapters.openai import OpenAiAdapter
from workers.adapters.openai.quirks import OpenAiQuirk

TURN = {"role": "user", "content": "hi"}


def sent(body, *quirks, stream=False, **upstream):
    request = CompletionRequest(body={"model": "ours", **body}, model="native/one", stream=stream)
    to = Upstream(
        slug="x", base_url="https://host/v1", quirks=frozenset(map(str, quirks)), **upstream
    )
    return OpenAiAdapter().build_request(request, to)


def body_of(body, *quirks, stream=False):
    return json.loads(sent(body, *quirks, stream=stream).body)


def message_of(message, *quirks):
    return body_of({"messages": [message]}, *quirks)["messages"][0]


def test_the_plain_request():
    request = sent({"messages": [TURN], "stream": True}, api_key="k", headers={"HTTP-Referer": "r"})
    assert request.method == "POST"
    assert request.url == "https://host/v1/chat/completions"
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer k",
        "http-referer": "r",
    }
    assert json.loads(request.body) == {"model": "native/one", "messages": [TURN]}


@pytest.mark.parametrize("quirk", [OpenAiQuirk.OPENAI_HINTS, OpenAiQuirk.OPENROUTER_FIELDS])
def test_hints_are_for_vendors_that_take_them(quirk):
    hints = dict.fromkeys(HINTS, "low")
    assert body_of(hints, quirk) == {"model": "native/one", **hints}
    assert body_of(hints) == {"model": "native/one"}


def test_the_quirks_of_hints_are_those_of_the_wire():
    assert {OpenAiQuirk.OPENAI_HINTS, OpenAiQuirk.OPENROUTER_FIELDS} == QUIRKS


def test_azure():
    quirks = (OpenAiQuirk.API_KEY_HEADER, OpenAiQuirk.DEPLOYMENT_URL)
    request = sent({}, *quirks, api_key="k", options={"api_version": "2025-01-01"})
    path = "/openai/deployments/native%2Fone/chat/completions?api-version=2025-01-01"
    assert request.url == f"https://host/v1{path}"
    assert request.headers["api-key"] == "k"
    assert "authorization" not in request.headers


def test_no_key_no_header():
    assert "authorization" not in sent({}).headers


@pytest.mark.parametrize(
    ("given", "quirks", "options"),
    [
        ({}, (), {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "x": 1}}, (), {"include_usage": True, "x": 1}),
        ({"stream_options": {"include_usage": True}}, (OpenAiQuirk.NO_STREAM_OPTIONS,), None),
    ],
)
def test_usage_is_asked_for_in_streams(given, quirks, options):
    body = body_of(given, *quirks, stream=True)
    assert body["stream"] is True
    assert body.get("stream_options") == options


@pytest.mark.parametrize(
    ("given", "quirk", "expected"),
    [
        ({"max_completion_tokens": 5}, OpenAiQuirk.MAX_TOKENS, {"max_tokens": 5}),
        ({"max_tokens": 5}, OpenAiQuirk.MAX_COMPLETION_TOKENS, {"max_completion_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, OpenAiQuirk.MAX_TOKENS, {"max_tokens": 5}),
        ({"max_tokens": None}, OpenAiQuirk.MAX_COMPLETION_TOKENS, {}),
        ({"seed": 7}, OpenAiQuirk.RANDOM_SEED, {"random_seed": 7}),
        ({"reasoning": {"effort": "low"}}, "", {"reasoning_effort": "low"}),
        ({"reasoning": {"max_tokens": 9}, "include_reasoning": True}, "", {}),
        ({"reasoning": {"max_tokens": 9}}, "", {}),
        ({"reasoning": {}}, OpenAiQuirk.REASONING_OBJECT, {"reasoning": {}}),
    ],
)
def test_renamed_fields(given, quirk, expected):
    assert body_of(given, quirk) == {"model": "native/one", **expected}


def test_answer_only_fields_are_not_sent_back():
    said = {"role": "assistant", "content": "a", "refusal": None, "reasoning": "r",
            "reasoning_details": [1], "annotations": [],
            "audio": {"id": "x", "data": "…"}}  # fmt: skip
    plain = {"role": "assistant", "content": "a", "audio": {"id": "x"}}
    assert message_of(said) == plain
    assert message_of(said, OpenAiQuirk.REASONING_CONTENT) == {**plain, "reasoning_content": "r"}
    assert message_of(said, OpenAiQuirk.REASONING_OBJECT)["reasoning_details"] == [1]


def test_developer_becomes_system():
    message = {"role": "developer", "content": "be brief"}
    assert message_of(message)["role"] == "developer"
    assert message_of(message, OpenAiQuirk.NO_DEVELOPER_ROLE)["role"] == "system"


def test_text_parts_are_joined_and_others_left():
    text = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    picture = [*text, {"type": "image_url", "image_url": {"url": "u"}}]
    assert (
        message_of({"role": "user", "content": text}, OpenAiQuirk.TEXT_CONTENT)["content"] == "a\nb"
    )
    kept = message_of({"role": "user", "content": picture}, OpenAiQuirk.TEXT_CONTENT)["content"]
    assert kept == picture


def test_short_tool_ids_agree_between_call_and_result():
    call = {"id": "call_0123456789abcdef", "type": "function", "function": {"name": "f"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "1"},
        {"role": "tool", "tool_call_id": "abcABC123", "content": "2"},
    ]
    assistant, first, second = body_of({"messages": messages}, OpenAiQuirk.SHORT_TOOL_IDS)[
        "messages"
    ]
    assert assistant["tool_calls"][0]["id"] == first["tool_call_id"]
    assert len(first["tool_call_id"]) == 9
    assert second["tool_call_id"] == "abcABC123"
    assert call["id"] == "call_0123456789abcdef", "the caller's own body is left alone"


def test_attachments_of_tool_results_follow_the_results():
    def result(call_id, content):
        return {"role": "tool", "tool_call_id": call_id, "content": content}

    calls = [{"id": each, "type": "function", "function": {"name": "f"}} for each in "ab"]
    assistant = {"role": "assistant", "content": None, "tool_calls": calls}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    text = {"type": "text", "text": "done"}
    messages = [TURN, assistant, result("a", [picture]), result("b", [text, picture]), TURN]
    *_, first, second, attached, last = body_of({"messages": messages})["messages"]
    assert first["content"] == "The result is attached to the next message of the user."
    assert second["content"] == [text]
    assert attached == {"role": "user", "content": [picture, picture]}
    assert last == TURN
    kept = body_of({"messages": messages}, OpenAiQuirk.OPENROUTER_FIELDS)["messages"]
    assert kept == messages


def test_cache_markers_go_only_to_vendors_that_take_them():
    mark = {"cache_control": {"type": "ephemeral"}}
    part, function = {"type": "text", "text": "a"}, {"name": "f"}
    plain = {
        "messages": [
            {"role": "user", "content": [part]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ],
        "tools": [{"type": "function", "function": function}],
    }
    marked = mark | {
        "messages": [
            {"role": "user", "content": [part | mark]},
            {"role": "tool", "tool_call_id": "c", "content": "1"} | mark,
        ],
        "tools": [{"type": "function", "function": function | mark} | mark],
    }
    assert body_of(marked) == {"model": "native/one", **plain}
    assert body_of(marked, OpenAiQuirk.CACHE_CONTROL) == {"model": "native/one", **marked}
    assert "cache_control" in marked["messages"][0]["content"][0], "the caller's own is left alone"


def test_no_choice_between_no_tools():
    given = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    assert body_of(given) == {"model": "native/one"}


OFF, ON = ({"enabled": False}, {"effort": "none"}), ({"enabled": True},)
SWITCHES = [
    (OpenAiQuirk.REASONING_CONTENT, "thinking", {"type": "disabled"}, {"type": "enabled"}),
    (OpenAiQuirk.ENABLE_THINKING, "enable_thinking", False, True),
    (
        OpenAiQuirk.TEMPLATE_THINKING,
        "chat_template_kwargs",
        {"enable_thinking": False, "thinking": False},
        {"enable_thinking": True, "thinking": True},
    ),
    ("", "reasoning_effort", "none", None),
]


@pytest.mark.parametrize(("quirk", "field", "off", "on"), SWITCHES)
def test_reasoning_is_turned_off_and_on_in_the_vendors_way(quirk, field, off, on):
    for wish in OFF:
        body = body_of({"reasoning": wish}, quirk)
        assert body == {"model": "native/one", field: off}
    assert body_of({"reasoning_effort": "none"}, quirk)[field] == off
    for wish in ON:
        assert body_of({"reasoning": wish}, quirk).get(field) == on
    assert body_of({"reasoning": {"exclude": True}}, quirk) == {"model": "native/one"}
    if quirk:
        assert body_of({"reasoning": OFF[0], field: "own"}, quirk)[field] == "own"


@pytest.mark.parametrize(
    "told",
    [
        {"reasoning_content": "I think"},
        {"reasoning": "I think"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "I th"},
                               {"type": "reasoning.text", "text": "ink", "signature": "s"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "I think"},
                               {"type": "reasoning.encrypted", "data": "x"}]},
        {"reasoning": "", "reasoning_content": None,
         "reasoning_details": [{"type": "reasoning.text", "text": "I think"}]},
    ],
)  # fmt: skip
def test_reasoning_comes_back_as_reasoning_content_whatever_its_name(told):
    message = {"role": "assistant", "content": "", **told}
    sent_back = message_of(message, OpenAiQuirk.REASONING_CONTENT)
    assert sent_back == {"role": "assistant", "content": "", "reasoning_content": "I think"}
    assert "reasoning_content" not in message_of(message)
