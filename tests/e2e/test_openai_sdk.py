"""The `openai` SDK, told nothing but a base URL and a key."""

import json
from collections.abc import Iterator

import openai
import pytest

from tests.installation import KEY, Installation
from tests.stacks import any_stack

pytestmark = any_stack

HELLO = [{"role": "user", "content": "one two three"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(params=["/api/v1", "/v1"])
def base_url(request: pytest.FixtureRequest, installation: Installation) -> str:
    return installation.root + request.param


@pytest.fixture
def sdk(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        yield client


def test_completion(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="sim/sim-words", messages=HELLO)
    assert answer.choices[0].message.content == "Your prompt has 3 words."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "sim/sim-words"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.model_extra is not None
    assert answer.usage.model_extra["cost"] > 0


def test_stream_ends_with_the_usage(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="sim/sim-echo",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three"
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_and_completion_count_alike(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(model="sim/sim-echo", messages=HELLO)
    *_, last = sdk.chat.completions.create(model="sim/sim-echo", messages=HELLO, stream=True)
    assert last.usage == whole.usage


def test_tool_call_round_trip(sdk: openai.OpenAI) -> None:
    asked = sdk.chat.completions.create(model="sim/sim-tools", messages=HELLO, tools=[WEATHER])
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    answered = sdk.chat.completions.create(
        model="sim/sim-tools",
        messages=[*HELLO, message.model_dump(exclude_none=True), result],
        tools=[WEATHER],
    )
    assert answered.choices[0].message.content == "The tool answered: rain"


def test_streamed_tool_calls_are_whole(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(
        model="sim/sim-tools2", messages=HELLO, tools=[WEATHER, _named("clock")]
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls] == ["weather", "clock"]
    assert all(json.loads(call.function.arguments) for call in message.tool_calls)


def test_answer_fits_the_json_schema(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="sim/sim-json",
        messages=HELLO,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": PERSON},
        },
    )
    person = json.loads(answer.choices[0].message.content or "")
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)


def test_null_content_stays_null(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="sim/sim-null", messages=HELLO)
    assert answer.choices[0].message.content is None


def test_models_are_listed(sdk: openai.OpenAI) -> None:
    assert "sim/sim-echo" in [model.id for model in sdk.models.list()]


def test_wrong_key(base_url: str) -> None:
    with (
        openai.OpenAI(base_url=base_url, api_key="sk-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="sim/sim", messages=HELLO)
    assert "key" in caught.value.message.lower()


def test_unknown_model_is_told_near_names(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(model="sim/sim-ecko", messages=HELLO)
    assert "sim/sim-echo" in caught.value.message
    assert caught.value.param == "model"


def test_bad_body_names_the_field(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="sim/sim", messages=HELLO, temperature=99)
    assert caught.value.param == "temperature"


def test_provider_error_has_its_class(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="sim/sim-context", messages=HELLO)
    assert "context" in caught.value.message


async def test_async_completion_and_stream(base_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        whole = await client.chat.completions.create(model="sim/sim-echo", messages=HELLO)
        stream = await client.chat.completions.create(
            model="sim/sim-echo", messages=HELLO, stream=True
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content == "one two three"
    assert chunks[-1].usage == whole.usage


def _named(name: str) -> dict[str, object]:
    return {"type": "function", "function": WEATHER["function"] | {"name": name}}


def test_options_of_one_call(sdk: openai.OpenAI) -> None:
    narrow = sdk.with_options(timeout=30, max_retries=1)
    answer = narrow.chat.completions.create(model="sim/sim-echo", messages=HELLO)
    assert answer.choices[0].message.content == "one two three"
    with pytest.raises(openai.APITimeoutError):
        sdk.with_options(timeout=0.3).chat.completions.create(
            model="sim/sim-lat2000", messages=HELLO
        )


def test_a_request_has_an_id(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="sim/sim-echo", messages=HELLO)
    assert raw.request_id
    assert raw.parse()._request_id == raw.request_id
    own = sdk.with_options(default_headers={"X-Request-Id": "mine-1"})
    assert own.chat.completions.create(model="sim/sim-echo", messages=HELLO)._request_id == "mine-1"
    with pytest.raises(openai.NotFoundError) as caught:
        own.chat.completions.create(model="sim/sim-ecko", messages=HELLO)
    assert caught.value.request_id == "mine-1"


def test_the_helper_for_streams(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(model="sim/sim-echo", messages=HELLO) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == "one two three"
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.total_tokens > 0


ERRORS = [
    ("sim/sim-400", openai.BadRequestError, 400),
    ("sim/sim-context", openai.BadRequestError, 400),
    ("sim/sim-ecko", openai.NotFoundError, 404),
    ("sim/sim-401", openai.InternalServerError, 502),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "kind", "status"), ERRORS)
def test_an_error_has_its_class(
    sdk: openai.OpenAI, model: str, kind: type[openai.APIStatusError], status: int, stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        sdk.chat.completions.create(model=model, messages=HELLO, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.message
    assert caught.value.request_id
