"""The typed events of a response: whole, the same for every reader, and equal to the answer."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from broker.dialects.accumulation import ChoiceCollector
from broker.dialects.base import DialectJob
from broker.dialects.responses.answer import render_answer
from broker.dialects.responses.input_items import translate_items
from broker.dialects.responses.items import continue_turn
from broker.dialects.responses.output_items import read_content
from broker.dialects.responses.stream import ResponseStream, RunTracker
from broker.events.job_events import ATTEMPT_STEP, Event

ID = "job_01K00000000000000000000000"
EVENT = TypeAdapter(ResponseStreamEvent)
FEW = settings(max_examples=40, deadline=None)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.1}
FACTS = {"model": "a/b", "provider": "p"}
BODY = {
    "model": "a/b",
    "input": "hi",
    "tools": [
        {"type": "custom", "name": "patch"},
        {"type": "function", "name": "f", "parameters": {}, "strict": False},
    ],
}


def job(**more):
    return DialectJob(ID, "a/b", 1_700_000_000, BODY | more)


def chunks(*deltas, finish="stop"):
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    return [*choices, {"index": 0, "delta": {}, "finish_reason": finish}]


def log(choices, attempt=1, first=1, end=("completed", {})):
    events = [("started", {"attempt": attempt, "queued_ms": 0})]
    events += [("chunk", {**FACTS, "choices": [choice]}) for choice in choices]
    if end is not None:
        type_, data = end
        if type_ == "completed":
            events.append(("usage", {**FACTS, "choices": [], "usage": USAGE}))
        events.append((type_, {"job_id": ID, "status": type_, **data}))
    return [
        Event(number, type_, orjson.dumps(data))
        for number, (type_, data) in enumerate(events, start=first)
    ]


def translate(events, superseded=0, **body):
    stream = ResponseStream(job(**body), superseded)
    return [*stream.open(), *(each for event in events for each in stream.translate(event))]


def answer_of(choices):
    collector = ChoiceCollector()
    for choice in choices:
        collector.add([choice])
    return {**FACTS, "choices": collector.choices(), "usage": USAGE}


TEXT = st.text("ab\u00e9 ", min_size=1, max_size=3)
THOUGHTS = st.lists(
    st.fixed_dictionaries({
        "reasoning_details": st.lists(
            st.fixed_dictionaries(
                {"type": st.just("reasoning.text"), "index": st.integers(0, 1), "text": TEXT},
                optional={"signature": TEXT, "format": st.just("anthropic-claude-v1")},
            )
            | st.fixed_dictionaries({
                "type": st.just("reasoning.summary"), "summary": TEXT,
                "id": st.just("rs_1"), "format": st.just("openai-responses-v1"),
            }),
            min_size=1, max_size=2,
        )
    }),
    max_size=3,
)  # fmt: skip
PLAIN_THOUGHTS = st.lists(st.fixed_dictionaries({"reasoning": TEXT}), max_size=3)
SPEECH = st.lists(
    st.fixed_dictionaries({"content": TEXT})
    | st.fixed_dictionaries({"refusal": TEXT, "content": st.none()}),
    max_size=3,
).map(lambda said: sorted(said, key=lambda delta: "refusal" in delta))
FIRST = {"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}
SECOND = {"index": 1, "id": "c1", "type": "custom", "custom": {"name": "g", "input": ""}}
THIRD = FIRST | {"index": 2, "id": "c2", "function": {"name": "patch", "arguments": ""}}
CALLS = st.lists(
    st.builds(
        lambda text, index: {
            "tool_calls": [
                {"index": index, "custom": {"input": text}}
                if index == 1
                else {"index": index, "function": {"arguments": text}}
            ]
        },
        TEXT,
        st.integers(0, 2),
    ),
    max_size=4,
).map(lambda deltas: [{"tool_calls": [FIRST, SECOND, THIRD]}, *deltas])
DELTAS = st.builds(
    lambda *groups: [{"role": "assistant"}, *(each for group in groups for each in group)],
    THOUGHTS | PLAIN_THOUGHTS,
    SPEECH,
    CALLS | st.just([]),
)
FINISH = st.sampled_from(["stop", "length", "content_filter"])


@FEW
@given(DELTAS, FINISH)
def test_the_last_event_has_the_stored_answer(deltas, finish):
    choices = chunks(*deltas, finish=finish)
    *_, last = translate(log(choices))
    assert last["response"] == render_answer(job(), answer_of(choices), 1)
    kind = "completed" if finish == "stop" else "incomplete"
    assert last["type"] == f"response.{kind}"
    Response.model_validate(last["response"])


@FEW
@given(DELTAS, FINISH)
def test_every_event_is_one_of_the_sdk_and_its_numbers_count_from_0(deltas, finish):
    events = translate(log(chunks(*deltas, finish=finish)))
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event)


@FEW
@given(DELTAS)
def test_the_sdk_collects_the_same_response(deltas):
    state = ResponseStreamState(input_tools=[], text_format=omit)
    events = translate(log(chunks(*deltas)))
    for event in events:
        state.handle_event(EVENT.validate_python(event))
    output = state._completed_response.output
    assert [each.id for each in output] == [each["id"] for each in events[-1]["response"]["output"]]


@FEW
@given(DELTAS)
def test_each_text_is_sent_once(deltas):
    events = translate(log(chunks(*deltas)))
    for done in events:
        if not done["type"].endswith((".done",)) or "item_id" not in done:
            continue
        whole = next(
            (done[n] for n in ("text", "refusal", "arguments", "input") if n in done), None
        )
        place = [n for n in ("item_id", "content_index", "summary_index") if n in done]
        sent = [
            each["delta"]
            for each in events
            if each["type"] == done["type"].removesuffix("done") + "delta"
            and all(each[n] == done[n] for n in place)
        ]
        if whole is not None:
            assert "".join(sent) == whole


@FEW
@given(DELTAS)
def test_every_item_that_begins_ends_as_it_is_in_the_response(deltas):
    events = translate(log(chunks(*deltas)))
    added = [each for each in events if each["type"] == "response.output_item.added"]
    done = {
        each["output_index"]: each["item"]
        for each in events
        if each["type"] == "response.output_item.done"
    }
    output = events[-1]["response"]["output"]
    assert [each["output_index"] for each in added] == list(range(len(output)))
    assert [done[index] for index in range(len(output))] == output


@FEW
@given(DELTAS)
def test_an_answer_that_came_at_once_has_the_same_response(deltas):
    choices = chunks(*deltas)
    answer = answer_of(choices)
    whole = log([], end=("completed", {"response": answer}))
    del whole[1]  # the usage of a stream
    *_, last = translate(whole)
    assert last["response"] == render_answer(job(), answer, 1)


@FEW
@given(DELTAS, st.data())
def test_a_resumed_reader_gets_the_rest(deltas, data):
    events = log(chunks(*deltas))
    whole = translate(events)
    cut = data.draw(st.integers(0, len(whole)))
    again = [each for each in translate(events) if each["sequence_number"] > cut]
    assert again == whole[cut + 1 :]


def without_index(message):
    return [
        {name: value for name, value in detail.items() if name != "index"}
        for detail in message["reasoning_details"]
    ]


@FEW
@given(DELTAS)
def test_the_items_of_an_answer_become_its_message_again(deltas):
    answer = answer_of(chunks(*deltas))
    [said] = continue_turn({}, {}, answer)
    output = render_answer(job(), answer, 1)["output"]
    [message] = translate_items(output)
    assert read_content({"content": message["content"]}) == read_content(said)
    if "reasoning_details" in said:
        assert without_index(message) == without_index(said)
    for item, call in zip(message.get("tool_calls", ()), said.get("tool_calls", ()), strict=True):
        assert item["id"] == call["id"]
        custom = item.get("custom")
        if call["type"] == "custom" or custom is None:
            assert item == call


def broken_log(*, gap):
    """Return a log whose first attempt was lost after it had shown text."""
    first = log(chunks({"content": "lost"})[:1], end=None)
    number = ATTEMPT_STEP + 1 if gap else first[-1].number + 1
    retrying = Event(number, "retrying", orjson.dumps({"attempt": 1, "outcome": "unknown"}))
    rest = log(chunks({"content": "again"}), attempt=2, first=number + 1)
    return first, [retrying, *rest]


@pytest.mark.parametrize("gap", [True, False])
def test_a_reader_of_a_lost_attempt_is_told_how_to_come_back(gap):
    first, rest = broken_log(gap=gap)
    stream = ResponseStream(job())
    seen = [*stream.open(), *(each for event in first for each in stream.translate(event))]
    assert not stream.ended
    [error] = stream.translate(rest[0])
    assert stream.ended
    assert (error["type"], error["code"]) == ("error", "stream_interrupted")
    number = error["sequence_number"]
    assert number == seen[-1]["sequence_number"] + 1
    assert f"/responses/resp_{ID[4:]}?stream=true&starting_after={number}" in error["message"]

    tracker = RunTracker()
    superseded = max(each.number for each in [*first, *rest] if tracker.begins_again(each))
    resumed = translate([*first, *rest], superseded)
    assert [each["type"] for each in resumed[:2]] == ["response.created", "response.in_progress"]
    assert min(each["sequence_number"] for each in resumed) == ATTEMPT_STEP
    lost = next(each for each in seen if each["type"] == "response.output_item.added")
    begun = next(each for each in resumed if each["type"] == "response.output_item.added")
    assert lost["item"]["id"] != begun["item"]["id"]
    assert resumed[-1]["response"]["output"][0]["content"][0]["text"] == "again"


def test_numbers_do_not_repeat_when_the_lost_attempt_is_not_in_the_log():
    first, rest = broken_log(gap=True)
    seen = {each["sequence_number"] for each in translate(first)}
    later = translate(rest)
    assert [each["sequence_number"] for each in later[1:3]] == [ATTEMPT_STEP, ATTEMPT_STEP + 1]
    assert seen.isdisjoint(each["sequence_number"] for each in later[1:])


def test_an_attempt_that_failed_before_its_first_chunk_is_not_seen():
    started = log([], end=None)
    retrying = Event(2, "retrying", orjson.dumps({"attempt": 1, "outcome": "rejected"}))
    events = translate([*started, retrying, *log(chunks({"content": "a"}), attempt=2, first=3)])
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert [each["type"] for each in events].count("response.created") == 1


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (("failed", {"error": {"error_type": "timeout", "message": "slow"}}), "failed"),
        (("cancelled", {}), "cancelled"),
        (("expired", {"error": {"error_type": "deadline_exceeded", "message": "late"}}), "failed"),
    ],
)
def test_a_job_without_an_answer_ends_with_response_failed(end, status):
    *_, last = translate(log(chunks({"content": "a"})[:1], end=end))
    assert (last["type"], last["response"]["status"]) == ("response.failed", status)
    EVENT.validate_python(last)


def test_the_end_of_a_lost_log_follows_all_other_events():
    end = Event(10**9, "cancelled", orjson.dumps({"job_id": ID, "status": "cancelled"}))
    *_, last = translate([*log([], end=None), end])
    assert last["sequence_number"] == 10**9


def test_a_background_response_is_queued_before_anything_happens():
    stream = ResponseStream(job(background=True))
    created, queued = stream.open()
    assert (created["type"], queued["type"]) == ("response.created", "response.queued")
    assert queued["response"]["status"] == "queued"
    assert stream.open() == []
    [started, *_] = stream.translate(log([])[0])
    assert started["type"] == "response.in_progress"


def test_a_function_in_place_of_a_custom_tool_is_shown_as_the_tool():
    call = THIRD | {"index": 0}
    pieces = [
        {"tool_calls": [{"index": 0, "function": {"arguments": p}}]}
        for p in ('{"inp', 'ut":"a\\nb"}')
    ]
    events = translate(log(chunks({"tool_calls": [call]}, *pieces)))
    [item] = events[-1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "a\nb")
    [delta] = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert delta == "a\nb"


def test_reasoning_is_a_summary_for_callers_who_asked_for_one():
    choices = chunks({"reasoning": "Hm"}, {"content": "a"})
    *_, last = translate(log(choices), reasoning={"summary": "auto"})
    [thought, _] = last["response"]["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm"}]


def test_log_probabilities_come_with_their_text():
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    [choice, last] = chunks({"content": "a"})
    events = translate(log([choice | {"logprobs": {"content": [token]}}, last]))
    [delta] = [each for each in events if each["type"] == "response.output_text.delta"]
    assert delta["logprobs"] == [token]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [token]
