"""Chunks are collected to the choices of the whole answer."""

from hypothesis import given
from hypothesis import strategies as st

from broker.dialects.accumulation import ChoiceCollector


def collected(*choices):
    collector = ChoiceCollector()
    for choice in choices:
        collector.add([choice])
    return collector.choices()


def message_of(*deltas):
    [choice] = collected(*({"index": 0, "delta": delta} for delta in deltas))
    return choice["message"]


@given(st.text(), st.integers(1, 5))
def test_a_text_is_the_same_however_it_was_cut(text, size):
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    said = message_of({"role": "assistant"}, *({"content": piece} for piece in pieces))
    assert (said["content"] or "") == text


def test_calls_grow_by_their_index_and_lose_it():
    opening = {"index": 0, "id": "c", "type": "function", "function": {"name": "f"}}
    custom = {"index": 1, "id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}
    said = message_of(
        {"tool_calls": [opening]},
        {"tool_calls": [custom, {"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "y"}}]},
    )
    assert said["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "d", "type": "custom", "custom": {"name": "g", "input": "xy"}},
    ]


def test_reasoning_grows_within_its_block_and_encrypted_reasoning_does_not_grow():
    text = {"type": "reasoning.text", "index": 0, "format": "f"}
    sealed = {"type": "reasoning.encrypted", "index": 1, "format": "f"}
    said = message_of(
        {"reasoning_details": [text | {"text": "a"}]},
        {"reasoning_details": [text | {"text": "b"}, text | {"signature": "s"}]},
        {"reasoning_details": [sealed | {"data": "x"}, sealed | {"data": "y"}]},
    )
    assert said["reasoning_details"] == [
        text | {"text": "ab", "signature": "s"}, sealed | {"data": "x"}, sealed | {"data": "y"},
    ]  # fmt: skip


def test_each_choice_has_its_own_message_finish_reason_and_logprobs():
    first, second = collected(
        {"index": 1, "delta": {"content": "b"}, "logprobs": {"content": [{"token": "b"}]}},
        {"index": 0, "delta": {"content": "a"}, "finish_reason": "length"},
        {"index": 1, "delta": {}, "finish_reason": "stop"},
    )
    assert (first["message"]["content"], first["finish_reason"]) == ("a", "length")
    assert (second["message"]["content"], second["finish_reason"]) == ("b", "stop")
    assert (first["logprobs"], second["logprobs"]) == (None, {"content": [{"token": "b"}]})
