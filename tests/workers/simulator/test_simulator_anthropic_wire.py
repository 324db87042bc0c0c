import json
from itertools import count

import httpx
import pytest

WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
        "required": ["city"],
    },
}
CLOCK = {"name": "get_time", "input_schema": {"type": "object"}}
ARGUMENTS = {"city": "Lima", "unit": "celsius"}
ASKED = {"role": "user", "content": "How is the weather in Lima?"}
VERSION = {"anthropic-version": "2023-06-01"}
HAIKU = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
fresh = count()


def call(model, text="Why is the sky blue?", **more):
    messages = [{"role": "user", "content": text}]
    return {"model": model, "max_tokens": 4000, "messages": messages} | more


def ask(http, model, text="Why is the sky blue?", **more):
    return http.post("/v1/messages", json=call(model, text, **more), headers=VERSION)


def streamed(http, model, text="Why is the sky blue?", **more):
    answer = ask(http, model, text, stream=True, **more)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for record in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = record.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_a_plain_call(http):
    answer = ask(http, "sim").json()
    assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "sim")
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    (block,) = answer["content"]
    assert "Why is the sky blue" in block["text"]
    assert answer["usage"]["input_tokens"] == 5
    assert answer["usage"]["output_tokens"] == -(-len(block["text"]) // 4)


def test_a_stream_has_its_events_in_order(http):
    events = streamed(http, "sim-echo", "eight ch")
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["usage"]["input_tokens"] == 2
    assert "".join(event["delta"]["text"] for event in events[3:5]) == "eight ch"
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert events[-2]["usage"] == {
        "input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 2,
    }


@pytest.mark.parametrize(
    ("model", "more"),
    [("sim-reason", {}), ("sim", {"thinking": {"type": "enabled", "budget_tokens": 1024}})],
)
def test_thinking_comes_first_and_is_signed(http, model, more):
    thinking, text = ask(http, model, **more).json()["content"]
    assert (thinking["type"], text["type"]) == ("thinking", "text")
    deltas = [event["delta"] for event in streamed(http, model, **more) if event.get("delta")]
    told = "".join(delta.get("thinking", "") for delta in deltas)
    signatures = [delta["signature"] for delta in deltas if "signature" in delta]
    assert (told, signatures) == (thinking["thinking"], [thinking["signature"]])


@pytest.mark.parametrize(("signature", "status"), [(None, 200), ("forged", 400)])
def test_thinking_sent_back_has_its_signature_checked(http, signature, status):
    said = ask(http, "sim-reason").json()["content"]
    said[0]["signature"] = signature or said[0]["signature"]
    messages = [ASKED, {"role": "assistant", "content": said}, ASKED]
    answer = ask(http, "sim", messages=messages)
    assert answer.status_code == status
    assert ("Invalid `signature`" in answer.text) == (status == 400)


@pytest.mark.parametrize(
    ("model", "choice"),
    [
        ("sim-tools", {"type": "auto"}),
        ("sim", {"type": "any"}),
        ("sim", {"type": "tool", "name": "get_weather"}),
        ("sim-tools2", {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_a_tool_is_called(http, model, choice):
    answer = ask(http, model, ASKED["content"], tools=[WEATHER, CLOCK], tool_choice=choice).json()
    (use,) = answer["content"]
    assert answer["stop_reason"] == "tool_use"
    assert (use["type"], use["name"], use["input"]) == ("tool_use", "get_weather", ARGUMENTS)
    assert use["id"].startswith("toolu_")


def test_no_tool_is_called_where_none_is_wanted(http):
    answer = ask(http, "sim-tools", tools=[WEATHER], tool_choice={"type": "none"}).json()
    assert answer["content"][0]["type"] == "text"


def test_streamed_tool_calls_add_up(http):
    uses, written = {}, {}
    for event in streamed(http, "sim-tools2", ASKED["content"], tools=[WEATHER, CLOCK]):
        if event["type"] == "content_block_start":
            uses[event["index"]] = event["content_block"]
            assert event["content_block"]["input"] == {}
        if event["type"] == "content_block_delta":
            written.setdefault(event["index"], []).append(event["delta"]["partial_json"])
    assert [use["name"] for use in uses.values()] == ["get_weather", "get_time"]
    assert json.loads("".join(written[0])) == ARGUMENTS
    assert written[1] == [""]  # an empty input never sends a byte


def test_a_tool_result_is_answered(http):
    said = ask(http, "sim-tools", ASKED["content"], tools=[WEATHER]).json()["content"]
    result = {"type": "tool_result", "tool_use_id": said[0]["id"], "content": "18 degrees"}
    messages = [
        ASKED,
        {"role": "assistant", "content": said},
        {"role": "user", "content": [result]},
    ]
    told = ask(http, "sim-tools", messages=messages, tools=[WEATHER]).json()
    assert told["content"][0]["text"] == "The tool answered: 18 degrees"
    result["tool_use_id"] = "toolu_other"
    refused = ask(http, "sim-tools", messages=messages, tools=[WEATHER])
    assert (refused.status_code, "unexpected `tool_use_id`" in refused.text) == (400, True)
    messages[2]["content"] = "Well?"
    refused = ask(http, "sim-tools", messages=messages, tools=[WEATHER])
    assert (refused.status_code, "without `tool_result`" in refused.text) == (400, True)


@pytest.mark.parametrize(
    "more",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": HAIKU}}},
        {"output_format": {"type": "json_schema", "schema": HAIKU}},
    ],
)
def test_a_schema_is_filled_in(http, more):
    answer = ask(http, "sim", "Hi Bob", **more).json()
    assert json.loads(answer["content"][0]["text"]) == {"title": "Hi Bob"}


def test_a_limit_truncates(http):
    answer = ask(http, "sim-story", max_tokens=3).json()
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("max_tokens", 3)


def test_the_prompt_cache_is_written_then_read(http):
    text = f"Long instructions, {next(fresh)}"
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    size = -(-len(text) // 4)
    usages = [ask(http, "sim", system=system).json()["usage"] for _ in range(2)]
    written = [usage["cache_creation_input_tokens"] for usage in usages]
    read = [usage["cache_read_input_tokens"] for usage in usages]
    assert (written, read) == ([size, 0], [0, size])
    assert [usage["input_tokens"] for usage in usages] == [5, 5]


def test_a_longer_conversation_reads_what_a_shorter_wrote(http):
    first = {"type": "text", "text": f"Once upon{next(fresh):03}"}
    mark = {"cache_control": {"type": "ephemeral"}}
    ask(http, "sim", [first | mark])
    usage = ask(http, "sim", [first, {"type": "text", "text": "twice up"} | mark]).json()["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (3, 2)


def test_usage_can_be_left_out(http):
    assert "usage" not in ask(http, "sim-nousage").json()
    assert all("usage" not in event for event in streamed(http, "sim-nousage"))


def test_null_content(http):
    assert ask(http, "sim-null").json()["content"] == []
    kinds = [event["type"] for event in streamed(http, "sim-null")]
    assert kinds == ["message_start", "message_delta", "message_stop"]


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("sim-429", 429, "rate_limit_error"),
        ("sim-500", 500, "api_error"),
        ("sim-503", 529, "overloaded_error"),
        ("sim-529", 529, "overloaded_error"),
        ("sim-401", 401, "authentication_error"),
        ("sim-400", 400, "invalid_request_error"),
        ("sim-context", 400, "invalid_request_error"),
        ("claude", 404, "not_found_error"),
    ],
)
def test_a_refusal(http, model, status, kind):
    answer = ask(http, model)
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == kind
    assert answer.headers["request-id"]


def test_when_to_come_back(http):
    assert ask(http, "sim-529-retry3").headers["retry-after"] == "3"


def test_an_error_inside_a_stream(http):
    *events, error = streamed(http, "sim-errstream")
    assert events[-1]["type"] == "content_block_delta"
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")


def test_a_stream_is_cut_in_the_middle(http):
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        ask(http, "sim-cut", stream=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "at least one message"),
        ({"messages": ["Invalid content"]}, "expected shape"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "Unexpected role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must use the user role"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "expected shape"),
        ({"response_format": {"type": "json_object"}}, "Extra inputs are not permitted"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "at least 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, "must be greater"),
        ({"tools": [{"name": "x", "input_schema": 7}]}, "expected shape"),
    ],
)
def test_a_malformed_call_is_refused(http, change, words):
    answer = ask(http, "sim", **change)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_the_version_is_required(http):
    answer = http.post("/v1/messages", json=call("sim"))
    assert answer.json()["error"]["message"] == "anthropic-version: header is required"


def test_an_assistant_prefill_may_be_empty_or_not(http):
    prefill = [ASKED, {"role": "assistant", "content": "It is"}]
    assert ask(http, "sim", messages=prefill).status_code == 200
