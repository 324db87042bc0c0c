"""Answers of models as tables show them."""

import json

import pytest

from broker.enums import JobState
from broker.evaluations.answers import AnswerRow, is_refusal, read_prompt, read_text
from broker.evaluations.reports import CellAnswer

ROW = AnswerRow("job_1", "key_1", JobState.COMPLETED, "a", None, 0, *[None] * 10)


def answered(message, **columns):
    response = json.dumps({"choices": [{"message": message}]}).encode()
    return ROW._replace(**({"cost_nanos": 1, "response": response} | columns))


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (answered({"content": "yes"}), "answered"),
        (answered({"content": None, "refusal": "I cannot."}), "refused"),
        (answered({"content": ""}, finish_reason="content_filter"), "refused"),
        (ROW, "failed"),
        (answered({"content": "yes"}, response=None), "failed"),  # it is no longer kept
        (None, "failed"),
    ],
)
def test_an_answer_is_told_from_a_refusal_and_a_failure(row, outcome):
    assert CellAnswer(row).outcome == outcome
    assert outcome != "refused" or is_refusal(row)


def test_tool_calls_are_written_as_json():
    calls = [{"id": "1", "function": {"name": "f"}}]
    assert json.loads(read_text(answered({"content": None, "tool_calls": calls}).response)) == calls


def test_equal_answers_have_the_same_digest():
    one, same, other = (CellAnswer(answered({"content": text})) for text in ("x", " x\n", "y"))
    assert one.digest == same.digest != other.digest
    assert CellAnswer(ROW).digest is None


def test_the_last_user_message_is_the_prompt():
    parts = [{"type": "text", "text": "see"}]
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    assert read_prompt(messages) == "one"
    assert json.loads(read_prompt([*messages, {"role": "user", "content": parts}])) == parts
    assert read_prompt([]) == ""
