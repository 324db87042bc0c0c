import base64
import json

import pytest

from broker.completion import AttemptOutcome, CompletionRequest
from workers.adapters.anthropic import AnthropicAdapter
from workers.adapters.anthropic.messages import FORMAT
from workers.adapters.anthropic.models import ClaudeModel
from workers.adapters.anthropic.tools import ANSWER_TOOL
from workers.adapters.base import ProviderFailureError, Upstream

HI = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "hi"}
MARK = {"type": "ephemeral"}
OLD, BUDGETED = "claude-3-5-haiku-20241022", "claude-sonnet-4-5"
BOTH, NEW = "claude-opus-4-6", "claude-sonnet-5"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}


def sent(body, *quirks, model=BUDGETED, stream=False, **upstream):
    request = CompletionRequest(body={"messages": [HI], **body}, model=model, stream=stream)
    to = Upstream(slug="x", base_url="https://host/v1", quirks=frozenset(quirks), **upstream)
    return AnthropicAdapter().build_request(request, to)


def body_of(body, *quirks, **more):
    return json.loads(sent(body, *quirks, **more).body)


def turns(*messages):
    return [(t["role"], t["content"]) for t in body_of({"messages": list(messages)})["messages"]]


def blocks(*parts):
    return turns({"role": "user", "content": list(parts)})[0][1]


def call(name="f", arguments="{}", call_id="c1"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(**function):
    return {"type": "function", "function": {"name": "f", "parameters": SCHEMA, **function}}


def test_the_plain_request():
    request = sent({}, api_key="k", headers={"X-Own": "1"})
    assert request.url == "https://host/v1/messages"
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "k",
        "x-own": "1",
    }
    assert json.loads(request.body) == {
        "model": BUDGETED,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [TEXT]}],
    }


def test_vertex():
    options = {"project": "p", "region": "us-east5"}
    request = CompletionRequest({"messages": [HI]}, "claude-opus-4-1@20250805", stream=True)
    to = Upstream(
        slug="x",
        base_url="https://aiplatform.googleapis.com/v1",
        api_key="k",
        options=options,
        quirks=frozenset({"vertex"}),
    )
    built = AnthropicAdapter().build_request(request, to)
    place = "projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-4-1@20250805"
    assert built.url == f"https://us-east5-aiplatform.googleapis.com/v1/{place}:streamRawPredict"
    assert built.headers["authorization"] == "Bearer k"
    body = json.loads(built.body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body


def test_files_need_a_beta():
    part = {"type": "file", "file": {"file_id": "file_1"}}
    message = {"role": "user", "content": [part]}
    request = sent({"messages": [message]}, headers={"anthropic-beta": "mine"})
    assert request.headers["anthropic-beta"] == "mine,files-api-2025-04-14"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-3-7-sonnet@20250219", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-4-1@20250805", (4, 1)),
        ("anthropic/claude-opus-4.7", (4, 7)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-sonnet-5", (5, 0)),
        ("MiniMax-M2", None),
    ],
)
def test_the_version_in_a_name(name, version):
    assert ClaudeModel.from_name(name).version == version


def test_system_messages_are_set_apart_with_their_marks():
    part = {"type": "text", "text": "b", "cache_control": MARK}
    body = body_of({"messages": [
        {"role": "system", "content": "a"}, HI, {"role": "developer", "content": [part]}
    ]})  # fmt: skip
    assert body["system"] == [{"type": "text", "text": "a"}, part]
    assert body["messages"] == [{"role": "user", "content": [TEXT]}]


def test_a_call_of_a_custom_tool_has_the_argument_of_the_function_in_its_place():
    custom = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "a\nb"}}
    [_, (_, [block])] = turns(HI, {"role": "assistant", "content": None, "tool_calls": [custom]})
    assert block == {"type": "tool_use", "id": "c1", "name": "patch", "input": {"input": "a\nb"}}


def test_turns_alternate_and_results_come_first():
    told = turns(
        HI,
        {"role": "assistant", "content": "a", "tool_calls": [call(), call(call_id="f.g:0")]},
        {"role": "user", "content": "and"},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "f.g:0", "content": [{"type": "text", "text": "2"}]},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": "c "},
    )
    assert [role for role, _ in told] == ["user", "assistant", "user", "assistant"]
    assert [block["type"] for block in told[1][1]] == ["text", "tool_use", "tool_use"]
    assert told[2][1] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "1"}]},
        {"type": "tool_result", "tool_use_id": "f_g_0", "content": [{"type": "text", "text": "2"}]},
        {"type": "text", "text": "and"},
    ]
    assert told[1][1][2]["id"] == "f_g_0"
    assert told[3][1][-1]["text"] == "c"  # a prefill must not end in white space


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "system", "content": "s"}], [("user", "s")]),
        ([{"role": "assistant", "content": "a"}, HI],
         [("user", "(The conversation continues.)"), ("assistant", "a"), ("user", "hi")]),
        ([HI, {"role": "user", "content": " "}, {"role": "assistant", "content": None}],
         [("user", "hi")]),
    ],
)  # fmt: skip
def test_odd_conversations(messages, expected):
    assert [(role, content[0]["text"]) for role, content in turns(*messages)] == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": ', {"arguments": '{"a": '}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_arguments_in_history(arguments, expected):
    message = {"role": "assistant", "tool_calls": [call(arguments=arguments)]}
    assert turns(HI, message)[1][1][0]["input"] == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a", "cache_control": MARK},
         {"type": "text", "text": "a", "cache_control": MARK}),
        ({"type": "image_url", "image_url": {"url": "https://h/a.png"}, "cache_control": MARK},
         {"type": "image", "source": {"type": "url", "url": "https://h/a.png"},
          "cache_control": MARK}),
        ({"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}},
         {"type": "image",
          "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}}),
        ({"type": "file", "file": {"filename": "a.pdf",
                                   "file_data": "data:application/pdf;base64,QUJD"}},
         {"type": "document", "title": "a.pdf",
          "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}}),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "https://h/a.pdf"}},
         {"type": "document", "title": "a.pdf",
          "source": {"type": "url", "url": "https://h/a.pdf"}}),
        ({"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain,a%20b"}},
         {"type": "document", "title": "a.txt",
          "source": {"type": "text", "media_type": "text/plain", "data": "a b"}}),
        ({"type": "document", "title": "t", "citations": {"enabled": True},
          "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}},
         {"type": "document", "title": "t", "citations": {"enabled": True},
          "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}}),
    ],
)  # fmt: skip
def test_content_parts(part, expected):
    assert blocks(part) == [expected]


def test_audio_is_not_sent():
    part = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}
    with pytest.raises(ProviderFailureError) as caught:
        blocks(part)
    assert caught.value.failure.outcome is AttemptOutcome.NOT_SENT


def test_images_in_results_and_the_mark_of_a_result():
    image = {"type": "image_url", "image_url": {"url": "https://h/a.png"}, "cache_control": MARK}
    result = turns(HI, {"role": "tool", "tool_call_id": "c", "content": [image]})[0][1][0]
    assert result["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}
    ]
    assert result["cache_control"] == MARK


def test_reasoning_details_come_back_as_thinking():
    details = [
        {"type": "reasoning.text", "text": "a", "format": FORMAT, "index": 0},
        {"type": "reasoning.text", "text": "b", "format": FORMAT, "index": 0},
        {"type": "reasoning.text", "signature": "s", "format": FORMAT, "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "format": FORMAT, "index": 1},
        {"type": "reasoning.text", "text": "no signature", "format": FORMAT, "index": 2},
        {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1", "index": 3},
    ]
    message = {"role": "assistant", "content": "c", "reasoning_details": details}
    assert turns(HI, message, HI)[1][1] == [
        {"type": "thinking", "thinking": "ab", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "c"},
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}},
         {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": False, "tool_choice": "required"},
         {"type": "any", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
    ],
)  # fmt: skip
def test_tool_choice(body, expected):
    assert body_of({"tools": [tool()], **body}).get("tool_choice") == expected
    assert "tool_choice" not in body_of(body)  # refused without tools


def test_allowed_tools():
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_of({"tools": [tool(), tool(name="g")], "tool_choice": choice})
    assert [t["name"] for t in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}


def test_tools():
    own = {"type": "web_search_20250305", "name": "web_search"}
    marked = {**tool(description="d"), "cache_control": MARK}
    bare = {"type": "function", "function": {"name": "g"}}
    body = body_of({"tools": [marked, bare, tool(strict=True), own, {"type": "openrouter:x"}]})
    closed = {"a": {"type": "integer", "description": "{minimum: 1}"}}
    assert body["tools"] == [
        {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": MARK},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "f", "strict": True, "input_schema": {
            "type": "object", "properties": closed, "additionalProperties": False}},
        own,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort"),
    [
        (BUDGETED, {"effort": "high"}, {"type": "enabled", "budget_tokens": 8000}, None),
        (BUDGETED, {"effort": "minimal"}, {"type": "enabled", "budget_tokens": 1024}, None),
        (BUDGETED, {"max_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}, None),
        (BUDGETED, {"enabled": True}, {"type": "enabled", "budget_tokens": 5000}, None),
        (BUDGETED, {"effort": "none"}, {"type": "disabled"}, None),
        (BUDGETED, {"enabled": False}, {"type": "disabled"}, None),
        (BUDGETED, {}, None, None),
        (OLD, {"effort": "high"}, None, None),
        (BOTH, {"effort": "xhigh"}, {"type": "adaptive", "display": "summarized"}, "high"),
        (BOTH, {"max_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}, None),
        (NEW, {"effort": "xhigh"}, {"type": "adaptive", "display": "summarized"}, "xhigh"),
        (NEW, {"effort": "minimal", "exclude": True},
         {"type": "adaptive", "display": "omitted"}, "low"),
        (NEW, {"max_tokens": 2000}, {"type": "adaptive", "display": "summarized"}, None),
    ],
)  # fmt: skip
def test_thinking(model, asked, thinking, effort):
    body = body_of({"reasoning": asked, "max_tokens": 10_000}, model=model)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_the_limit_stays_above_the_budget():
    body = body_of({"reasoning": {"max_tokens": 3000}, "max_tokens": 1000})
    assert body["thinking"]["budget_tokens"] == 3000
    assert body["max_tokens"] == 4000


def test_what_excludes_thinking():
    asked = {"reasoning_effort": "high", "tools": [tool()]}
    assert "thinking" in body_of(asked)
    assert "thinking" not in body_of({**asked, "tool_choice": "required"})
    prefilled = [HI, {"role": "assistant", "content": "a"}]
    assert "thinking" not in body_of({**asked, "messages": prefilled})
    loop = [HI, {"role": "assistant", "tool_calls": [call()]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"}]  # fmt: skip
    assert "thinking" not in body_of({**asked, "messages": loop})
    assert "thinking" in body_of({**asked, "messages": loop}, model=NEW)


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        (OLD, None, {"temperature": 1, "top_p": 0.5, "top_k": 3}),
        (BUDGETED, None, {"temperature": 1, "top_k": 3}),
        (BUDGETED, "low", {"top_p": 0.95}),
        (NEW, None, {}),
    ],
)
def test_sampling(model, reasoning, expected):
    given = {"temperature": 1.5, "top_p": 0.5, "top_k": 3, "reasoning_effort": reasoning}
    body = body_of(given, model=model)
    assert {k: body[k] for k in ("temperature", "top_p", "top_k") if k in body} == expected


def wanted(schema=SCHEMA):
    return {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}


def test_structured_output():
    sent_format = body_of({"response_format": wanted()})["output_config"]["format"]
    assert sent_format["type"] == "json_schema"
    assert sent_format["schema"]["additionalProperties"] is False
    assert sent_format["schema"]["properties"]["a"] == {
        "type": "integer", "description": "{minimum: 1}",
    }  # fmt: skip


OPEN = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": True}}}
RECURSIVE = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/N"}},
    "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}},
}


@pytest.mark.parametrize(
    ("schema", "model", "quirks"),
    [
        (SCHEMA, OLD, ()),
        (SCHEMA, BUDGETED, ("forced_tool_schema",)),
        (OPEN, BUDGETED, ()),
        (RECURSIVE, BUDGETED, ()),
    ],
)
def test_structured_output_by_a_forced_tool(schema, model, quirks):
    body = body_of({"response_format": wanted(schema)}, *quirks, model=model)
    assert body["tools"][-1]["input_schema"] == schema
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL}
    assert "output_config" not in body
    beside = body_of({"response_format": wanted(schema), "tools": [tool()]}, *quirks, model=model)
    assert beside["tool_choice"] == {"type": "any"}


def test_json_mode_is_asked_for_in_words():
    body = body_of({"response_format": {"type": "json_object"}})
    assert "JSON" in body["system"][0]["text"]


def test_the_rest():
    body = body_of(
        {
            "max_completion_tokens": 7, "stop": ["a", " ", "b"], "user": "u", "seed": 1, "n": 2,
            "service_tier": "default", "cache_control": MARK, "logprobs": True, "logit_bias": {},
            "presence_penalty": 1, "stream_options": {"include_usage": True},
        },
        stream=True,
    )  # fmt: skip
    del body["messages"]
    assert body == {
        "model": BUDGETED, "max_tokens": 7, "stop_sequences": ["a", "b"], "stream": True,
        "metadata": {"user_id": "u"}, "service_tier": "standard_only", "cache_control": MARK,
    }  # fmt: skip


def test_the_callers_body_is_left_alone():
    data = base64.b64encode(b"x").decode()
    given = {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": MARK}]},
            {"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {
                "url": f"data:image/png;base64,{data}"}}]},
            {"role": "assistant", "content": "a ", "tool_calls": [call()]},
            {"role": "tool", "tool_call_id": "c1", "content": [{**TEXT, "cache_control": MARK}]},
        ],
        "tools": [tool(strict=True)],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }  # fmt: skip
    before = json.dumps(given)
    sent(given)
    assert json.dumps(given) == before


def test_a_schema_that_branches_at_every_step_is_read_in_time():
    step = {"type": "object", "properties": {"a": {"$ref": "#/$defs/N0"}}}
    both = {
        f"N{i}": {"properties": {side: {"$ref": f"#/$defs/N{i + 1}"} for side in "lr"}}
        for i in range(40)
    }
    assert "output_config" in body_of({"response_format": wanted({**step, "$defs": both})})
