"""Tools and structured answers over every wire, through the `openai` SDK, unchanged."""

import json
from typing import Any, Literal

import openai
import pydantic
import pytest

from tests.e2e.wires import GEMINI_LIKE, WIRES
from tests.installation import Installation
from tests.stacks import any_stack

pytestmark = any_stack

every_wire = pytest.mark.parametrize("wire", WIRES)
QUESTION = [{"role": "user", "content": "How is the weather in Bergen ?"}]


def tool(name: str) -> dict[str, Any]:
    properties = {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}}
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [tool("weather"), tool("clock")]


class Address(pydantic.BaseModel):
    street: str
    country: str


class Person(pydantic.BaseModel):
    name: str
    age: int
    role: Literal["guest", "host"]
    nickname: str | None
    addresses: list[Address]


def results(message: Any) -> list[dict[str, Any]]:
    """Return the assistant's turn and one result for each of its calls."""
    return [
        message.model_dump(exclude_none=True),
        *(
            {"role": "tool", "tool_call_id": call.id, "content": f"rain at {call.function.name}"}
            for call in message.tool_calls
        ),
    ]


def names(message: Any) -> list[str]:
    return [call.function.name for call in message.tool_calls or ()]


@every_wire
def test_call_result_answer(sdk: openai.OpenAI, wire: str) -> None:
    model = f"{wire}/sim-tools"
    [choice] = sdk.chat.completions.create(model=model, messages=QUESTION, tools=TOOLS).choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Bergen", "unit": "c"}
    turns = [*QUESTION, *results(choice.message)]
    answer = sdk.chat.completions.create(model=model, messages=turns, tools=TOOLS)
    assert answer.choices[0].message.content == "The tool answered: rain at weather"
    assert answer.choices[0].finish_reason == "stop"


@every_wire
def test_parallel_calls_and_their_results(sdk: openai.OpenAI, wire: str) -> None:
    model = f"{wire}/sim-tools2"
    answer = sdk.chat.completions.create(model=model, messages=QUESTION, tools=TOOLS)
    message = answer.choices[0].message
    assert names(message) == ["weather", "clock"]
    assert len({call.id for call in message.tool_calls}) == 2
    turns = [*QUESTION, *results(message)]
    answer = sdk.chat.completions.create(model=model, messages=turns, tools=TOOLS)
    text = answer.choices[0].message.content
    assert text == "The tool answered: rain at weather; rain at clock"


@every_wire
def test_streamed_calls_and_their_results(sdk: openai.OpenAI, wire: str) -> None:
    asked = {"model": f"{wire}/sim-tools2", "tools": TOOLS}
    with sdk.chat.completions.stream(messages=QUESTION, **asked) as stream:
        [choice] = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    assert names(choice.message) == ["weather", "clock"]
    cities = [json.loads(call.function.arguments)["city"] for call in choice.message.tool_calls]
    assert cities == ["Bergen", "Bergen"]
    turns = [*QUESTION, *results(choice.message)]
    with sdk.chat.completions.stream(messages=turns, **asked) as stream:
        [choice] = stream.get_final_completion().choices
    assert choice.message.content == "The tool answered: rain at weather; rain at clock"


@every_wire
def test_a_tool_can_be_forced(sdk: openai.OpenAI, wire: str) -> None:
    """The plain model calls nothing by itself."""
    named = {"type": "function", "function": {"name": "clock"}}
    for choice, called in (("auto", []), ("required", ["weather"]), (named, ["clock"])):
        answer = sdk.chat.completions.create(
            model=f"{wire}/sim", messages=QUESTION, tools=TOOLS, tool_choice=choice
        )
        assert names(answer.choices[0].message) == called
        reason = "tool_calls" if called else "stop"
        assert answer.choices[0].finish_reason == reason


@every_wire
def test_tools_can_be_forbidden(sdk: openai.OpenAI, wire: str) -> None:
    answer = sdk.chat.completions.create(
        model=f"{wire}/sim-tools", messages=QUESTION, tools=TOOLS, tool_choice="none"
    )
    assert names(answer.choices[0].message) == []
    assert answer.choices[0].message.content


def test_one_call_at_a_time(sdk: openai.OpenAI) -> None:
    """Anthropic's wire: Gemini has no such switch, and the simulator's OpenAI wire ignores it."""
    answer = sdk.chat.completions.create(
        model="anthropic/sim-tools2", messages=QUESTION, tools=TOOLS, parallel_tool_calls=False
    )
    assert names(answer.choices[0].message) == ["weather"]


@pytest.mark.parametrize("wire", ["anthropic", *GEMINI_LIKE])
def test_the_thoughts_behind_a_call_go_back_with_its_result(
    wires: Installation, sdk: openai.OpenAI, wire: str
) -> None:
    asked = {"model": f"{wire}/sim-reason-tools", "tools": TOOLS[:1], "temperature": 1}
    [choice] = sdk.chat.completions.create(messages=QUESTION, **asked).choices
    seals = [each.get("signature") or each.get("data") for each in choice.message.reasoning_details]
    before = wires.calls(seals[-1])["matching"]
    turns = [*QUESTION, *results(choice.message)]
    answer = sdk.chat.completions.create(messages=turns, **asked)
    assert answer.choices[0].message.content == "The tool answered: rain at weather"
    assert wires.calls(seals[-1])["matching"] == before + 1


@every_wire
def test_one_wires_calls_are_understood_by_another(sdk: openai.OpenAI, wire: str) -> None:
    """A conversation moves: ids and signatures of the one must not offend the other."""
    asked = {"messages": QUESTION, "tools": TOOLS}
    before = WIRES[WIRES.index(wire) - 1]
    [choice] = sdk.chat.completions.create(model=f"{before}/sim-reason-tools", **asked).choices
    answer = sdk.chat.completions.create(
        model=f"{wire}/sim-tools", messages=[*QUESTION, *results(choice.message)], tools=TOOLS
    )
    assert answer.choices[0].message.content == "The tool answered: rain at weather"


@every_wire
def test_an_answer_is_parsed(sdk: openai.OpenAI, wire: str) -> None:
    parsed = sdk.chat.completions.parse(
        model=f"{wire}/sim-json", messages=QUESTION, response_format=Person
    )
    person = parsed.choices[0].message.parsed
    assert (person.name, person.role, person.addresses[0].country) == ("Ada", "guest", "Bergen")
    assert parsed.choices[0].finish_reason == "stop"
    assert not parsed.choices[0].message.tool_calls


@every_wire
def test_a_streamed_answer_is_parsed(sdk: openai.OpenAI, wire: str) -> None:
    with sdk.chat.completions.stream(
        model=f"{wire}/sim-json", messages=QUESTION, response_format=Person
    ) as stream:
        [choice] = stream.get_final_completion().choices
    assert isinstance(choice.message.parsed, Person)
    assert choice.finish_reason == "stop"


@every_wire
def test_any_json_object_can_be_asked_for(sdk: openai.OpenAI, wire: str) -> None:
    answer = sdk.chat.completions.create(
        model=f"{wire}/sim-json",
        messages=[{"role": "system", "content": "Answer in JSON."}, *QUESTION],
        response_format={"type": "json_object"},
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"answer"}


@every_wire
def test_tools_are_parsed_too(sdk: openai.OpenAI, wire: str) -> None:
    parsed = sdk.chat.completions.parse(
        model=f"{wire}/sim-tools", messages=QUESTION, tools=[openai.pydantic_function_tool(Person)]
    )
    [call] = parsed.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Person)
