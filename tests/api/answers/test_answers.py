"""The API reference shows of every operation what it answers: the examples are true."""

import pytest

from api.openapi import read_examples
from tests.api.answers.documented import OPERATIONS
from tests.api.answers.scenario import answers
from tests.api.answers.shapes import differences
from tests.api.answers.walking import Answers

ANEW = "If that is meant: `make examples` records the examples anew."
WITHOUT_EXAMPLE = {
    "POST /api/v1/audio/speech": {"audio/mpeg": "sound"},
    "GET /api/v1/evaluations/{evaluation_id}/results": {
        "application/vnd.apache.parquet": "a table"
    },
}
"""Answers that are not shown, each with what they are instead of text."""


@pytest.fixture(scope="module")
def answered() -> Answers:
    return answers()


def test_the_walk_asks_for_everything(answered: Answers) -> None:
    assert OPERATIONS.keys() - answered.keys() == set(), "let a part of the scenario ask for it"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_example_is_what_is_answered(answered: Answers, operation: str) -> None:
    now, shown = answered.get(operation, {}), read_examples().get(operation, {})
    assert _kinds(now) == _kinds(shown), ANEW
    found = [
        f"{status} {media}: {difference}"
        for status, by_media in now.items()
        for media, answer in by_media.items()
        for difference in differences(shown[status][media], answer)
    ]
    assert not found, "\n".join([f"{operation} answers otherwise than shown. {ANEW}", *found])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_document_has_the_status_that_is_answered(answered: Answers, operation: str) -> None:
    documented = {each for each in OPERATIONS[operation]["responses"] if each.startswith("2")}
    assert set(answered.get(operation, {})) == documented


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_has_an_example(operation: str) -> None:
    responses = OPERATIONS[operation]["responses"]
    missing = {
        f"{status} {media}"
        for status, response in responses.items()
        if status.startswith("2")
        for media, content in response.get("content", {}).items()
        if "example" not in content and media not in WITHOUT_EXAMPLE.get(operation, {})
    }
    assert missing == set(), f"{operation} has no example of its answer. {ANEW}"


def test_no_example_is_of_an_operation_that_is_gone() -> None:
    assert read_examples().keys() == OPERATIONS.keys(), ANEW


def test_a_difference_is_told_by_its_key() -> None:
    before = {"data": [{"id": "a", "cost": 1, "done": True}]}
    now = {"data": [{"id": "a", "cost": 0.5, "done": None}]}
    assert differences(before, before) == differences(before, {"data": [*before["data"]] * 2}) == []
    assert differences(before, now) == [
        "`data[].done` (boolean) is no longer there", "`data[].done` (null) is new",
    ]  # fmt: skip


def _kinds(answers: dict[str, dict]) -> set[tuple[str, str]]:
    return {(status, media) for status, by_media in answers.items() for media in by_media}
