"""JSON that a model nearly wrote."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import AttemptOutcome, Completion, Failure
from broker.retries import OnUnknown, Retry, Situation, decide
from broker.routing import Plan, PlannedEndpoint
from tests.factories import make_endpoint
from workers.healing import Healing, asked, mended

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


def answering(text, **more):
    message = {"role": "assistant", "content": text}
    return Completion([{"index": 0, "message": message, "finish_reason": "stop"} | more])


def healed(text, wanted=None, **more):
    answer = mended(answering(text, **more), wanted or Healing())
    assert isinstance(answer, Completion)
    return answer.choices[0]["message"]["content"]


@pytest.mark.parametrize(
    "broken",
    [
        '{"city": "Oslo", "people": 7',
        '```json\n{"city": "Oslo", "people": 7}\n```',
        'Here you are:\n{"city": "Oslo", "people": 7}',
        "{'city': 'Oslo', 'people': 7}",
        '{"city": "Oslo", "people": 7,}',
        '{city: "Oslo", people: 7}',
    ],
)
def test_what_was_meant_comes_back(broken):
    assert json.loads(healed(broken)) == {"city": "Oslo", "people": 7}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_good_json_is_left_byte_for_byte(value):
    text = json.dumps(value, indent=1)
    assert healed(text) == text


def test_prose_is_not_made_into_json():
    assert healed("I would rather not say.") == "I would rather not say."


@pytest.mark.parametrize("more", [{"finish_reason": "length"}, {"finish_reason": "tool_calls"}])
def test_an_answer_that_was_cut_is_not_passed_off_as_whole(more):
    assert healed('{"city": "Os', **more) == '{"city": "Os'


@pytest.mark.parametrize(
    "text", ["no idea", '{"city": "Oslo"}', '{"city": 1, "people": 2}', '{"city": "O", "x": 1}']
)
def test_what_does_not_fit_moves_on_where_that_is_asked(text):
    failure = mended(answering(text), Healing(SCHEMA, must_fit=True))
    assert isinstance(failure, Failure)
    assert failure.outcome is AttemptOutcome.REJECTED
    plan = Plan([PlannedEndpoint(make_endpoint(name), "") for name in ("alpha", "beta")])
    again = Situation(plan, 0, 2, 2, 5, 1000.0, OnUnknown.HOLD)
    assert decide(failure, again, chance=0.0) == Retry(1)
    assert isinstance(mended(answering(text), Healing(SCHEMA)), Completion)


def test_what_fits_after_mending_is_an_answer():
    text = '{"city": "Oslo", "people": 7'
    assert isinstance(mended(answering(text), Healing(SCHEMA, must_fit=True)), Completion)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"type": "no such type"},
        {"properties": 7},
        {"properties": {"city": {"pattern": "^(a+)+$"}}},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    ],
)
def test_no_schema_fetches_hangs_or_breaks(schema):
    text = json.dumps({"city": "a" * 40 + "!", "a" * 40 + "!": 1})
    began = time.monotonic()
    assert isinstance(mended(answering(text), Healing(schema, must_fit=True)), Completion)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("plugins", "form", "wanted"),
    [
        ([{"id": "response-healing"}], FORMAT, Healing(SCHEMA)),
        ([{"id": "response-healing", "retry": True}], FORMAT, Healing(SCHEMA, must_fit=True)),
        ([{"id": "response-healing"}], {"type": "json_object"}, Healing()),
        ([{"id": "response-healing", "enabled": False}], FORMAT, None),
        ([{"id": "response-healing"}], {"type": "text"}, None),
        ([{"id": "response-healing"}], None, None),
        ([{"id": "web"}], FORMAT, None),
        (None, FORMAT, None),
    ],
)
def test_when_it_is_asked(plugins, form, wanted):
    assert asked(plugins, {"response_format": form}) == wanted
