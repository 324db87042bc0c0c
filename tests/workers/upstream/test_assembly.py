"""The stored answer of a stream is what a client has who folds its chunks."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta

from broker.completion import Chunk, Usage
from workers.upstream.assembly import Assembly

TEXT = st.text("ab\u00e9 ", max_size=3)
CALL = st.fixed_dictionaries(
    {"index": st.integers(0, 1)},
    optional={
        "function": st.fixed_dictionaries({"arguments": TEXT}),
        "custom": st.fixed_dictionaries({"input": TEXT}),
        "extra_content": st.fixed_dictionaries({"google": st.fixed_dictionaries({"note": TEXT})}),
        "unheard_of": TEXT,
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | TEXT,
        "reasoning": TEXT,
        "refusal": st.none() | TEXT,
        "function_call": st.fixed_dictionaries({"arguments": TEXT}),
        "tool_calls": st.lists(CALL, min_size=1, max_size=2),
        "audio": st.fixed_dictionaries({"data": TEXT, "transcript": TEXT}),
        "extra_content": st.fixed_dictionaries({"vendor": st.fixed_dictionaries({"text": TEXT})}),
        "unheard_of": TEXT,
    },
)
OPENING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "c1", "type": "custom", "custom": {"name": "g", "input": ""}},
    ],
}


def stored(*deltas, shown=None):
    assembly = Assembly((shown if shown is not None else []).append)
    for delta in deltas:
        assembly.add(Chunk([{"index": 0, "delta": delta, "finish_reason": None}]))
    [choice] = assembly.completion().choices
    return choice["message"]


def by_the_sdk(deltas):
    folded = {}
    for delta in deepcopy(deltas):
        accumulate_delta(folded, delta)
    for call in folded["tool_calls"]:
        del call["index"]
    return folded


@given(st.lists(DELTA, max_size=6))
def test_folding_the_chunks_gives_the_stored_answer(deltas):
    deltas = [OPENING, *deltas]
    assert stored(*deltas) == by_the_sdk(deltas)


@given(st.lists(DELTA, max_size=6))
def test_everything_is_shown_once_in_order_and_nothing_before_something_is_said(deltas):
    shown = []
    stored({"role": "assistant", "content": ""}, *deltas, shown=shown)
    told = [chunk.choices[0]["delta"] for chunk in shown]
    says = [any(value for value in delta.values()) for delta in deltas]
    if any(says):
        assert told == [{"role": "assistant", "content": ""}, *deltas]
    else:
        assert told == []


def test_lists_of_whole_entries_are_joined():
    image = {"type": "image_url", "image_url": {"url": "data:,"}, "index": 0}
    note = {"type": "url_citation", "url_citation": {"url": "u"}}
    message = stored({"images": [image], "annotations": [note]}, {"images": [image]})
    assert message["images"] == [image, image]
    assert message["annotations"] == [note]


@pytest.mark.parametrize(
    ("deltas", "name", "value"),
    [
        (
            [
                {"tool_calls": [{"index": 0, "id": "c", "type": "custom",
                                 "custom": {"name": "sql", "input": "sel"}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "ect 1"}}]},
            ],
            "tool_calls",
            [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}],
        ),
        (
            [{"function_call": {"name": "f", "arguments": ""}},
             {"function_call": {"arguments": "{}"}}],
            "function_call",
            {"name": "f", "arguments": "{}"},
        ),
        (
            [{"reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]},
             {"reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0}]},
             {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]}],
            "reasoning_details",
            [{"type": "reasoning.text", "text": "ab", "index": 0},
             {"type": "reasoning.encrypted", "data": "x", "index": 1}],
        ),
        (
            [{"audio": {"id": "a", "data": "AA", "expires_at": 1}},
             {"audio": {"data": "BB", "expires_at": 2}}],
            "audio",
            {"id": "a", "data": "AABB", "expires_at": 2},
        ),
    ],
)  # fmt: skip
def test_every_field_is_kept(deltas, name, value):
    assert stored(*deltas)[name] == value


def test_fields_of_a_choice_are_kept():
    assembly = Assembly(lambda _: None)
    tokens = {"content": [{"token": "a"}]}
    assembly.add(Chunk([{"index": 0, "delta": {"content": "a"}, "logprobs": tokens}]))
    assembly.add(Chunk([{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": 2}]))
    [choice] = assembly.completion().choices
    assert choice["logprobs"] == tokens
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", 2)


def test_the_usage_of_a_cut_stream_does_not_replace_the_last_word():
    assembly = Assembly(lambda _: None)
    assembly.count(Usage(input=10, output=1))
    assert assembly.completion().usage == Usage(input=10, output=1)
    assembly.add(Chunk(usage=Usage(input=10, output=5)))
    assembly.count(Usage(input=10, output=1))
    assert assembly.completion().usage == Usage(input=10, output=5)
