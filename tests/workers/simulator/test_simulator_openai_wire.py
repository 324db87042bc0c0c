import json

import openai
import pytest
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
ARGUMENTS = {"city": "Lima", "unit": "celsius"}
ASKED = {"role": "user", "content": "How is the weather in Lima?"}


def ask(sdk, model, text="Why is the sky blue?", **more):
    return sdk.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **more
    )


def test_a_plain_call(sdk):
    answer = ask(sdk, "sim")
    choice = answer.choices[0]
    assert "Why is the sky blue" in choice.message.content
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert answer.model == "sim"
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.completion_tokens == -(-len(choice.message.content) // 4)
    assert answer.usage.total_tokens == 5 + answer.usage.completion_tokens


def test_a_stream_adds_up_to_the_answer(sdk):
    chunks = list(ask(sdk, "sim-echo", "Grüße, 世界! 🌍", stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Grüße, 世界! 🌍"
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_its_usage_where_asked(sdk):
    options = {"include_usage": True}
    *others, last = ask(sdk, "sim-tok7", stream=True, stream_options=options)
    assert last.choices == []
    assert last.usage.completion_tokens == 7
    assert all(chunk.usage is None for chunk in others)
    assert sum(bool(chunk.choices[0].delta.content) for chunk in others) == 7


def test_a_paced_stream_says_the_same(sdk):
    paced = ask(sdk, "sim-echo-chunk1", "one two three", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in paced) == "one two three"


def test_raw_stream_ends_with_done(http):
    call = {"model": "sim", "stream": True, "messages": [ASKED]}
    answer = http.post("/v1/chat/completions", json=call)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("}\n\ndata: [DONE]\n\n")


def test_usage_can_be_left_out(sdk):
    assert ask(sdk, "sim-nousage").usage is None
    streamed = ask(sdk, "sim-nousage", stream=True, stream_options={"include_usage": True})
    assert all(chunk.usage is None for chunk in streamed)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_truncates(sdk, limit):
    answer = ask(sdk, "sim-story", **{limit: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "The harbour "
    assert answer.usage.completion_tokens == 3


def test_the_last_user_message_is_the_prompt(sdk):
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": "this"},
    ]
    messages = [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": parts},
    ]
    answer = sdk.chat.completions.create(model="sim-echo", messages=messages)
    assert answer.choices[0].message.content == "See\nthis"
    assert answer.usage.prompt_tokens > 85


def test_reasoning_comes_first(sdk):
    message = ask(sdk, "sim-reason-echo", "so").choices[0].message
    assert message.reasoning_content.startswith("First, what is being asked?")
    assert message.content == "so"
    deltas = [chunk.choices[0].delta for chunk in ask(sdk, "sim-reason", stream=True)]
    thought = [hasattr(delta, "reasoning_content") for delta in deltas if delta.role is None]
    assert thought == sorted(thought, reverse=True)
    assert thought[0]


def test_null_content(sdk):
    choice = ask(sdk, "sim-null").choices[0]
    assert (choice.message.content, choice.message.tool_calls) == (None, None)
    assert all(not chunk.choices[0].delta.content for chunk in ask(sdk, "sim-null", stream=True))


def allow(mode, name):
    tools = [{"type": "function", "function": {"name": name}}]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("model", "choice"),
    [
        ("sim-tools", "auto"),
        ("sim", "required"),
        ("sim", {"type": "function", "function": {"name": "get_weather"}}),
        ("sim", allow("required", "get_weather")),
    ],
)
def test_a_tool_is_called(sdk, model, choice):
    answer = ask(sdk, model, ASKED["content"], tools=[WEATHER, CLOCK], tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == ARGUMENTS


@pytest.mark.parametrize(
    ("model", "more"),
    [("sim", {"tools": [WEATHER]}), ("sim-tools", {}),
     ("sim-tools", {"tools": [WEATHER], "tool_choice": "none"}),
     ("sim-tools", {"tools": [WEATHER], "tool_choice": allow("auto", "get_time")})],
)  # fmt: skip
def test_no_tool_is_called_unasked(sdk, model, more):
    message = ask(sdk, model, **more).choices[0].message
    assert message.content
    assert message.tool_calls is None


def test_streamed_tool_calls_add_up(sdk):
    calls: dict[int, list[str]] = {}
    for chunk in ask(sdk, "sim-tools2", ASKED["content"], tools=[WEATHER, CLOCK], stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            name, written = call.function.name, call.function.arguments
            calls.setdefault(call.index, []).append(name or written)
    names = {parts[0]: json.loads("".join(parts[1:])) for parts in calls.values()}
    assert names == {"get_weather": ARGUMENTS, "get_time": {}}


def test_a_tool_result_is_answered(sdk):
    asked = sdk.chat.completions.create(model="sim-tools", messages=[ASKED], tools=[WEATHER])
    message = asked.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "18 degrees"}
    told = sdk.chat.completions.create(
        model="sim-tools", messages=[ASKED, message.model_dump(), result], tools=[WEATHER]
    )
    assert told.choices[0].message.content == "The tool answered: 18 degrees"
    assert told.choices[0].finish_reason == "stop"


class Verdict(BaseModel):
    title: str
    score: int
    reasons: list[str]


@pytest.mark.parametrize("model", ["sim-json", "sim"])
def test_a_schema_is_filled_in(sdk, model):
    answer = sdk.chat.completions.parse(model=model, messages=[ASKED], response_format=Verdict)
    assert answer.choices[0].message.parsed.score == 3


def test_any_json_is_an_object(sdk):
    answer = ask(sdk, "sim", response_format={"type": "json_object"})
    assert "sky" in json.loads(answer.choices[0].message.content)["answer"]


def test_an_unknown_model(sdk):
    with pytest.raises(openai.NotFoundError) as refused:
        ask(sdk, "gpt-9")
    assert refused.value.code == "model_not_found"


def test_models_are_listed(sdk):
    assert {"sim", "sim-echo", "sim-429"} <= {model.id for model in sdk.models.list()}


def test_the_version_may_be_left_out(http):
    call = {"model": "sim-echo", "messages": [ASKED]}
    answer = http.post("/chat/completions", json=call).json()
    assert answer["choices"][0]["message"]["content"] == ASKED["content"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"{}", b'{"model": 1}', b'{"model": "sim"}',
        b'{"model": "sim", "messages": []}', b'{"model": "sim", "messages": ["hi"]}',
        b'{"model": "sim", "messages": [{}]}',
        b'{"model": "sim", "messages": [{"role": "user", "content": [1]}]}',
        b'{"model": "sim", "messages": [{"role": "user"}], "max_tokens": "many"}',
        b'{"model": "sim", "messages": [{"role": "user"}], "tools": [{"function": {}}]}',
        b'{"model":"sim","messages":[{"role":"user"}],"tools":[{"function":{"name":"x","parameters":7}}]}',
    ],
)  # fmt: skip
def test_a_malformed_call_is_refused(http, body):
    answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_route(http):
    answer = http.post("/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, None)


@pytest.mark.parametrize("place", ["/openai/v1", "/openai/deployments/gpt"])
def test_azures_addresses_lead_here_too(http, place):
    messages = [{"role": "user", "content": "Hello"}]
    call = {"model": "sim-echo", "messages": messages}
    answer = http.post(f"{place}/chat/completions?api-version=2024-10-21", json=call)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert http.post(f"{place}/nothing", json=call).status_code == 404
