"""Graders that are slow or do not answer: limits in time, in failures and for each workspace."""

import asyncio
from dataclasses import replace

import pytest

from broker.clock import now_ms
from broker.enums import EvaluationState, JobState
from broker.evaluations.answers import AnswerRow
from broker.evaluations.reports import CellAnswer, CellResult, PromptResults
from broker.evaluations.rows import Cell, EvaluationRow, Plan, PromptRow
from broker.evaluations.specification import Specification
from workers.sandbox.pool import Sandbox
from workers.services import grading
from workers.services.grading import Graders
from workers.services.webhook_request import ReceiverAnswer

ANSWER = b'{"choices": [{"message": {"content": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 5"}}]}'


def make_plan(*graders, workspace="ws_1", seconds=60):
    wanted = Specification(models=["a"], graders=list(graders))
    stored, now = wanted.model_dump_json(by_alias=True), now_ms()
    row = EvaluationRow(
        *(f"eval_{workspace}", workspace, "key_1", EvaluationState.GRADING, stored, 1),
        *(now, now + seconds * 1000),
    )
    return Plan.of(row)


def make_page(plan, prompts):
    job = AnswerRow("job_1", "key_1", JobState.COMPLETED, "a", None, 0, *[None] * 10)
    answer = CellAnswer(job._replace(cost_nanos=1, response=ANSWER))
    content = '{"prompt": "x", "expected": "5"}'
    return [
        PromptResults(
            PromptRow(plan.row.id, number, content), [CellResult(Cell(number, 0, 0), answer)]
        )
        for number in range(prompts)
    ]


class Receiver:
    """Stands in for the client of callers' URLs; a real one is in the tests of the whole."""

    def __init__(self, reply, *, gate=None):
        self.reply, self.gate = reply, gate
        self.open = self.most = self.posts = 0

    async def post(self, *_):
        self.posts += 1
        self.open += 1
        self.most = max(self.most, self.open)
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        self.open -= 1
        return self.reply

    async def sign(self, *_):
        return {}


def make_graders(receiver=None, sandbox=None):
    return Graders(None, sandbox, receiver, receiver)


def grades_of(found):
    return [grades[0] for each in found for grades in each.values()]


@pytest.fixture
def sandbox():
    made = Sandbox(processes=2)
    yield made
    made.close()


async def test_a_pattern_that_takes_too_long_is_not_searched_for_ever(sandbox, monkeypatch):
    monkeypatch.setattr(grading, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(grading, "MOST_FAILURES", 2)
    plan = make_plan({"type": "regex", "pattern": r"(a|aa)+b"})
    graders = make_graders(sandbox=sandbox)
    found = []
    for page in make_page(plan, 4):
        found += grades_of(await graders.grade(plan, [page]))
    assert [grade.score for grade in found] == [None] * 4
    assert ["it took more than" in grade.error for grade in found] == [True, True, False, False]
    assert found[3].error == "the grader failed 2 times in a row"
    graders.forget(plan.row.id)
    assert not graders._failures


async def test_a_url_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(grading, "TRIES", 1)
    plan = make_plan({"type": "http", "url": "https://grader.example/"})
    receiver = Receiver(ReceiverAnswer(error="no answer"))
    graders = make_graders(receiver)
    for page in make_page(plan, 40):
        await graders.grade(plan, [page])
    assert receiver.posts == grading.MOST_FAILURES


async def test_nothing_is_sent_after_the_completion_window():
    plan = make_plan({"type": "http", "url": "https://grader.example/"}, seconds=-1)
    receiver = Receiver(ReceiverAnswer(200, body='{"passed": true}'))
    [grade] = grades_of(await make_graders(receiver).grade(plan, make_page(plan, 1)))
    assert (grade.error, receiver.posts) == ("the completion window has ended", 0)


async def test_each_workspace_has_its_own_requests():
    gate = asyncio.Event()
    receiver = Receiver(ReceiverAnswer(200, body='{"score": 0.5}'), gate=gate)
    graders = make_graders(receiver)
    options = {"type": "http", "url": "https://grader.example/"}
    plans = [make_plan(options, workspace=name) for name in ("ws_1", "ws_2")]
    tasks = [asyncio.create_task(graders.grade(plan, make_page(plan, 20))) for plan in plans]
    async with asyncio.timeout(5):
        while receiver.open < 2 * grading.REQUESTS:
            await asyncio.sleep(0)
    gate.set()
    found = [grade for pages in await asyncio.gather(*tasks) for grade in grades_of(pages)]
    assert [grade.score for grade in found] == [0.5] * 40
    assert receiver.most == 2 * grading.REQUESTS


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (ReceiverAnswer(200, body="no"), "not a JSON object"),
        (ReceiverAnswer(200, body="[1]"), "not a JSON object"),
        (ReceiverAnswer(200, body='{"score": 2}'), "no `score` from 0 to 1"),
        (ReceiverAnswer(200, body='{"passed": 1}'), "neither true nor false"),
        (ReceiverAnswer(404, body=""), "status 404"),
        (ReceiverAnswer(error="The URL may not be called: it is private."), "may not be called"),
    ],
)
async def test_a_reply_that_is_no_grade_is_an_error(reply, says, monkeypatch):
    monkeypatch.setattr(grading, "TRIES", 1)
    plan = make_plan({"type": "http", "url": "https://grader.example/"})
    [grade] = grades_of(await make_graders(Receiver(reply)).grade(plan, make_page(plan, 1)))
    assert grade.score is None
    assert says in grade.error


async def test_a_schema_that_is_invalid_grades_nothing(sandbox):
    plan = make_plan({"type": "json_schema", "schema": {"type": "nonsense"}})
    [grade] = grades_of(await make_graders(sandbox=sandbox).grade(plan, make_page(plan, 1)))
    assert "the schema is invalid" in grade.error


async def test_a_cell_without_an_answer_has_no_grade():
    plan = make_plan({"type": "exact"})
    [page] = make_page(plan, 1)
    failed = replace(page, cells=[CellResult(page.cells[0].cell, CellAnswer())])
    [grade] = grades_of(await make_graders().grade(plan, [failed]))
    assert grade.error == "there is no answer"
