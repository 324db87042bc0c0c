"""A chat that is too long loses its middle."""

from hypothesis import given
from hypothesis import strategies as st

from broker.requests.context_compression import CUT, compress, is_requested
from broker.requests.token_estimates import estimate_input_tokens

CONTEXT = 1_000


def user(text):
    return {"role": "user", "content": text}


def said(body):
    return [message["content"] for message in body["messages"]]


def test_what_fits_is_left_alone():
    body = {"messages": [user("short")], "temperature": 1}
    assert compress(body, CONTEXT) is body
    assert compress({"messages": [user("x" * 10**6)]}, None)["messages"] == [user("x" * 10**6)]


def test_the_middle_goes_and_both_ends_stay():
    system = {"role": "system", "content": "rules"}
    turns = [user(f"{n} " + "x" * 400) for n in range(12)]
    kept = said(compress({"messages": [system, *turns]}, CONTEXT))
    assert kept[0] == "rules"
    numbers = [int(text.split()[0]) for text in kept[1:]]
    assert numbers[0] == 0
    assert numbers[-1] == 11
    assert numbers == sorted(numbers)
    assert 5 not in numbers
    assert 6 not in numbers


def test_a_tools_answer_goes_with_its_call():
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]}
    answer = {"role": "tool", "tool_call_id": "c1", "content": "y" * 4_000}
    body = {"messages": [user("a"), call, answer, user("b"), user("c")]}
    roles = [message["role"] for message in compress(body, CONTEXT)["messages"]]
    assert "tool" not in roles
    assert "assistant" not in roles


def test_a_single_long_message_keeps_its_beginning_and_end():
    [text] = said(compress({"messages": [user("begin " + "x" * 20_000 + " end")]}, CONTEXT))
    assert text.startswith("begin ")
    assert text.endswith(" end")
    assert CUT in text


def test_room_is_left_for_the_answer():
    body = {"messages": [user("x" * 20_000)], "max_tokens": 600}
    assert estimate_input_tokens(compress(body, CONTEXT)) + 600 <= CONTEXT


MESSAGES = st.lists(
    st.builds(
        lambda role, text, parts: {
            "role": role,
            "content": [{"type": "text", "text": text}] if parts else text,
        },
        st.sampled_from(["system", "user", "assistant"]),
        st.text(max_size=6_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@given(MESSAGES, st.integers(500, 4_000))
def test_it_fits_and_nothing_is_reordered_or_mutated(messages, context):
    before = repr(messages)
    body = compress({"messages": messages}, context)
    assert repr(messages) == before
    systems = [m for m in messages if m["role"] == "system"]
    assert [m["role"] for m in body["messages"]].count("system") >= len(systems) - 1
    assert body["messages"][-1]["role"] == messages[-1]["role"]
    assert estimate_input_tokens(body) <= context


def test_when_it_is_asked():
    assert is_requested({"transforms": ["middle-out"]}, 128_000)
    assert is_requested({"plugins": [{"id": "context-compression"}]}, None)
    assert not is_requested({"plugins": [{"id": "context-compression", "enabled": False}]}, 4_096)
    assert not is_requested({"transforms": []}, 4_096)
    assert is_requested({}, 8_192)  # small ones have it unless it is turned off
    assert not is_requested({}, 8_193)
    assert not is_requested({}, None)
