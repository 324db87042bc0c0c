"""The simulator's Responses API, called by OpenAI's SDK."""

import json

import httpx
import openai
import pytest

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
PYTHON = {"type": "custom", "name": "python"}
ENCRYPTED = ["reasoning.encrypted_content"]


def test_a_plain_call(sdk):
    answer = sdk.responses.create(model="sim-echo", input="Why is the sky blue?")
    assert answer.output_text == "Why is the sky blue?"
    assert (answer.status, answer.model) == ("completed", "sim-echo")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 5)


def test_an_answer_that_reaches_its_limit_is_incomplete(sdk):
    answer = sdk.responses.create(model="sim-story", input="a", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert len(answer.output_text) == 64


def test_a_stream_has_its_events_in_order(sdk):
    with sdk.responses.create(model="sim-echo", input="eight ch", stream=True) as stream:
        events = list(stream)
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == "eight ch"


def test_reasoning_is_summarised_and_encrypted_where_that_is_requested(sdk):
    bare = sdk.responses.create(model="sim-reason", input="a")
    assert bare.output[0].summary == []
    assert bare.output[0].encrypted_content is None
    asked = {"include": ENCRYPTED, "reasoning": {"summary": "auto"}, "store": False}
    first = sdk.responses.create(model="sim-reason", input="a", **asked)
    assert first.output[0].summary[0].text.startswith("First, ")
    items = [{"role": "user", "content": "a"}, *(each.to_dict() for each in first.output)]
    assert sdk.responses.create(model="sim", input=[*items, items[0]], **asked).output_text
    items[1]["encrypted_content"] = "gAAAAforged"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        sdk.responses.create(model="sim", input=items, **asked)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_taken(sdk, stream):
    item = {"role": "user", "content": "How is the weather in Lima?"}
    asked = {"model": "sim-tools2", "tools": [TOOL, PYTHON]}
    if stream:
        with sdk.responses.stream(input=[item], **asked) as events:
            answer = events.get_final_response()
    else:
        answer = sdk.responses.create(input=[item], **asked)
    called, custom = answer.output
    assert json.loads(called.arguments) == {"city": "Lima"}
    assert (custom.type, custom.name) == ("custom_tool_call", "python")
    results = [
        {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"},
        {"type": "custom_tool_call_output", "call_id": custom.call_id, "output": "2"},
    ]
    calls = [each.to_dict() for each in (called, custom)]
    told = sdk.responses.create(input=[item, *calls, *results], **asked)
    assert told.output_text == "The tool answered: sunny; 2"


USER = {"role": "user", "content": "a"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
WRONG = {
    "an unknown field": ({"messages": []}, "messages", "unknown_parameter"),
    "a nested tool": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools[0].name",
        "missing_required_parameter",
    ),
    "a choice from nothing": ({"tool_choice": "auto"}, "tool_choice", None),
    "a part of the other side": (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}]},
        "input[0].content[0]",
        "invalid_value",
    ),
    "a part of chat completions": (
        {"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        "input[0].content[0]",
        "invalid_value",
    ),
    "a role of chat completions": (
        {"input": [{"role": "tool", "content": "a"}]},
        "input[0].role",
        "invalid_value",
    ),
    "a call without a result": ({"input": [USER, CALL]}, "input", None),
    "a result without a call": (
        {"input": [USER, {"type": "function_call_output", "call_id": "c", "output": "a"}]},
        "input",
        None,
    ),
    "too low a limit": ({"max_output_tokens": 5}, "max_output_tokens", "integer_below_min_value"),
    "JSON mode without the word": ({"text": {"format": {"type": "json_object"}}}, "input", None),
    "a schema without its name": (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "text.format.name",
        "missing_required_parameter",
    ),
    "background without a store": ({"background": True, "store": False}, "background", None),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_by_the_name_of_its_parameter(http, case):
    wrong, param, code = WRONG[case]
    answer = http.post("/v1/responses", json={"model": "sim", "input": [USER], **wrong})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_an_item_that_was_not_stored_is_not_found(http):
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    body = {"model": "sim", "input": [USER, item], "store": False}
    answer = http.post("/v1/responses", json=body)
    assert answer.status_code == 404
    assert "rs_1" in answer.json()["error"]["message"]


def test_its_faults_are_those_of_the_other_wires(sdk, http):
    with pytest.raises(openai.RateLimitError):
        sdk.responses.create(model="sim-429", input="a")
    *_, last = sdk.responses.create(model="sim-story-errstream", input="a", stream=True)
    assert last.type == "error"
    assert "error while processing" in last.message
    body = {"model": "sim-story-cut", "input": "a", "stream": True}
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/responses", json=body)


def test_a_response_in_the_background_is_polled(sdk, until):
    begun = sdk.responses.create(model="sim-echo-lat200", input="a", background=True)
    assert begun.status == "queued"
    until(lambda: sdk.responses.retrieve(begun.id).status == "completed")
    assert sdk.responses.retrieve(begun.id).output_text == "a"
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve("resp_unknown")


def events_until_the_cut(http, body):
    """Yield the events of a stream whose connection breaks."""
    try:
        with http.stream("POST", "/v1/responses", json=body) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
    except httpx.RemoteProtocolError:
        return
    pytest.fail("the connection was not broken")


def test_a_cut_stream_goes_on_after_its_last_event(sdk, http, simulator):
    body = {"model": "sim-story-cut", "input": "a", "stream": True, "background": True}
    received = list(events_until_the_cut(http, body))
    retrieved = simulator.counters.retrieved
    response_id, last = received[0]["response"]["id"], received[-1]["sequence_number"]
    with sdk.responses.retrieve(response_id, stream=True, starting_after=last) as stream:
        rest = list(stream)
    numbers = [event["sequence_number"] for event in received]
    numbers += [event.sequence_number for event in rest]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type == "response.completed"
    assert simulator.counters.retrieved == retrieved + 1


def test_a_response_in_the_background_is_cancelled(sdk):
    begun = sdk.responses.create(model="sim-echo-lat5000", input="a", background=True)
    assert sdk.responses.cancel(begun.id).status == "cancelled"
    assert sdk.responses.retrieve(begun.id).status == "cancelled"


def test_azures_path_leads_here(http):
    answer = http.post("/openai/v1/responses", json={"model": "sim-echo", "input": "a"})
    assert answer.json()["object"] == "response"
