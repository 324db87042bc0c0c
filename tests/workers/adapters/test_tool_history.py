"""Tool calls and results in a conversation: one id for each call, each result behind its call."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest
from workers.adapters.base import Upstream
from workers.adapters.registry import ADAPTERS
from workers.adapters.tool_history import (
    alphanumeric_id,
    nine_character_id,
    sixty_four_character_id,
    unrestricted_id,
    with_matched_calls,
)

USER = {"role": "user", "content": "go on"}
FORMS = {
    unrestricted_id: r"(?s).+",
    alphanumeric_id: r"[a-zA-Z0-9_-]+",
    nine_character_id: r"[A-Za-z0-9]{9}",
    sixty_four_character_id: r"[A-Za-z0-9_-]{1,64}",
}
IDS = st.sampled_from(["", "a", "a:0", "a.0", "call", "call_2", "a_2", "x" * 80, "123456789"])
TURNS = st.lists(st.lists(IDS, min_size=1, max_size=3), min_size=1, max_size=5)


def call(call_id, number):
    function = {"name": f"f{number}", "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function}


def history(turns):
    """Return a conversation with the ids of each turn's calls, each answered by its number."""
    messages, number = [USER], 0
    for ids in turns:
        numbers = range(number, number + len(ids))
        number += len(ids)
        calls = [call(*pair) for pair in zip(ids, numbers, strict=True)]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call_id, "content": str(n)}
            for call_id, n in zip(ids, numbers, strict=True)
        ]
    return messages


def pairs(messages):
    """Return (call's id, its name, its result), result by result."""
    names = {c["id"]: c["function"]["name"] for m in messages for c in m.get("tool_calls", ())}
    results = [m for m in messages if m["role"] == "tool"]
    return [(m["tool_call_id"], names[m["tool_call_id"]], m["content"]) for m in results]


@given(TURNS)
@pytest.mark.parametrize(("form", "pattern"), FORMS.items())
def test_ids_are_unique_and_allowed_and_results_name_their_calls(form, pattern, turns):
    told = with_matched_calls(history(turns), form)
    ids = [c["id"] for m in told for c in m.get("tool_calls", ())]
    assert len(set(ids)) == len(ids) == sum(map(len, turns))
    assert all(re.fullmatch(pattern, one) for one in ids)
    assert [(name, said) for _, name, said in pairs(told)] == [
        (f"f{n}", str(n)) for n in range(len(ids))
    ]


@given(TURNS)
@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_that_grows_keeps_its_ids(form, turns):
    whole, part = history(turns), history(turns[:-1])
    assert with_matched_calls(whole, form)[: len(part)] == with_matched_calls(part, form)


@given(TURNS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_consistent_stays_as_it_is(form, turns):
    told = with_matched_calls(history(turns), form)
    assert with_matched_calls(told, form) == told


def test_results_stand_behind_their_calls_in_their_order():
    calls = {"role": "assistant", "content": None, "tool_calls": [call("a", 0), call("b", 1)]}
    results = {n: {"role": "tool", "tool_call_id": n, "content": n} for n in "ab"}
    told = with_matched_calls(
        [USER, calls, USER, results["b"], USER, results["a"]], unrestricted_id
    )
    assert told == [USER, calls, results["a"], results["b"], USER, USER]


TEXT_PART = {"type": "text", "text": "1"}


@pytest.mark.parametrize(
    ("contents", "joined"),
    [
        (["1", "2"], "1\n2"),
        (["1", "2", "3"], "1\n2\n3"),
        (["1", "1"], "1"),
        (["", "2"], "2"),
        (["1", None], "1"),
        ([[TEXT_PART], "2"], [TEXT_PART, {"type": "text", "text": "2"}]),
        (["0", [TEXT_PART]], [{"type": "text", "text": "0"}, TEXT_PART]),
    ],
)
def test_further_results_of_a_call_are_joined_to_the_first(contents, joined):
    calls = {"role": "assistant", "content": None, "tool_calls": [call("a", 0)]}
    results = [{"role": "tool", "tool_call_id": "a", "content": each} for each in contents]
    told = with_matched_calls([USER, calls, results[0], USER, *results[1:]], unrestricted_id)
    assert told == [USER, calls, {**results[0], "content": joined}, USER]


def test_many_results_of_one_call_take_linear_time():
    calls = {"role": "assistant", "content": None, "tool_calls": [call("a", 0)]}
    results = [{"role": "tool", "tool_call_id": "a", "content": f"{n:0100}"} for n in range(50_000)]
    told = with_matched_calls([USER, calls, *results], unrestricted_id)
    assert told[2]["content"].count("\n") == len(results) - 1


def test_the_form_before_tools_becomes_calls_with_results():
    said = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "1"}}
    result = {"role": "function", "name": "f", "content": "1"}
    told = with_matched_calls([USER, said, result, said, result], unrestricted_id)
    assert [m["role"] for m in told] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [c["id"] for m in told for c in m.get("tool_calls", ())] == ["call", "call_2"]
    assert [name for _, name, _ in pairs(told)] == ["f", "f"]
    assert not any("function_call" in message for message in told)


def test_a_signature_follows_its_call():
    details = [{"type": "reasoning.encrypted", "id": "a", "data": "s"}, {"type": "reasoning.text"}]
    turn = {"role": "assistant", "tool_calls": [call("a", 0)], "reasoning_details": details}
    told = with_matched_calls([turn, turn], unrestricted_id)
    assert [d.get("id") for m in told for d in m["reasoning_details"]] == ["a", None, "a_2", None]


def test_a_result_without_a_call_is_left_in_its_place():
    orphan = {"role": "tool", "tool_call_id": "x", "content": "1"}
    assert with_matched_calls([USER, orphan, USER], unrestricted_id) == [USER, orphan, USER]


def test_a_long_conversation_takes_linear_time():
    turns = 10_000
    told = with_matched_calls(history([["list_dir:0"]] * turns), alphanumeric_id)
    assert len({c["id"] for m in told for c in m.get("tool_calls", ())}) == turns


def _found(value, name):
    """Return the values of all fields with a name, wherever they are."""
    if isinstance(value, list):
        return [found for entry in value for found in _found(entry, name)]
    if not isinstance(value, dict):
        return []
    here = [value[name]] if name in value else []
    return here + [found for entry in value.values() for found in _found(entry, name)]


CALL_IDS = {
    "anthropic": ("id", "tool_use_id"),
    "bedrock": ("toolUse", "toolResult"),
    "gemini": ("functionCall", "functionResponse"),
}


@pytest.mark.parametrize("wire", ADAPTERS)
@pytest.mark.parametrize(
    "messages",
    [
        history([["list_dir:0"], ["list_dir:0", "list_dir:0"], ["list_dir:1"]]),
        history([["", ""], [""]]),
        [*history([["a", "b"]]), {"role": "tool", "tool_call_id": "a", "content": "again"}],
        [
            USER,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "1"},
        ],
    ],
    ids=["repeated", "empty", "two results", "function_call"],
)
def test_every_wire_sends_calls_with_ids_of_their_own(wire, messages):
    upstream = Upstream(slug="p", base_url="https://provider.example/v1", api_key="a:b", wire=wire)
    request = CompletionRequest(body={"messages": messages}, model="m")
    sent = json.loads(ADAPTERS[wire].build_request(request, upstream).body)
    call_name, result_name = CALL_IDS.get(wire, ("id", "tool_call_id"))
    calls, results = _found(sent, call_name), _found(sent, result_name)
    if wire == "bedrock":
        calls, results = ([v["toolUseId"] for v in each] for each in (calls, results))
    if wire == "responses":
        kinds = ("function_call", "function_call_output")
        calls, results = (
            [item["call_id"] for item in sent["input"] if item.get("type") == kind]
            for kind in kinds
        )
    if wire == "gemini":
        calls, results = ([v["id"] for v in each] for each in (calls, results))
    assert calls
    assert len(set(calls)) == len(calls)
    assert calls == results


@pytest.mark.parametrize("wire", ADAPTERS)
@pytest.mark.parametrize("choice", [None, "auto", {"name": "f"}])
def test_functions_of_the_form_before_tools_are_kept_or_become_tools(wire, choice):
    functions = [{"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}]
    asked = {"messages": [USER], "functions": functions}
    asked |= {"function_call": choice} if choice else {}
    upstream = Upstream(slug="p", base_url="https://provider.example/v1", api_key="a:b", wire=wire)
    sent = json.loads(ADAPTERS[wire].build_request(CompletionRequest(asked, "m"), upstream).body)
    if wire in ("openai", "azure"):
        assert sent["functions"] == functions
        assert sent.get("function_call") == choice
    else:
        assert "f" in _found(sent, "name")
        assert not {"functions", "function_call"} & set(sent)
