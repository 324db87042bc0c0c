"""Read evaluations: rows, prompts, and the answers and grades of cells."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, select

from broker.batches.reports import BatchTotals, find_batch, totals
from broker.completion import Json
from broker.evaluations.answers import (
    AnswerRow,
    find_answers,
    is_refusal,
    read_text,
)
from broker.evaluations.grades import Grade, load_grades
from broker.evaluations.rows import (
    OPEN,
    Cell,
    CellRow,
    EvaluationRow,
    Plan,
    PromptRow,
)
from broker.evaluations.summary import CellFigures
from broker.storage.tables import (
    BatchLine,
    Evaluation,
    EvaluationCell,
    EvaluationPrompt,
    Generation,
    columns,
    table,
)

_evaluations = table(Evaluation)
_prompts = table(EvaluationPrompt)
_cells = table(EvaluationCell)
_lines = table(BatchLine)
_generations = table(Generation)

_SELECT = select(*columns(EvaluationRow, _evaluations))
_SELECT_PROMPTS = select(*columns(PromptRow, _prompts))
_SELECT_CELLS = select(*columns(CellRow, _cells))
PAGE_CELLS = 400  # cells that are read or graded at a time


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """A page of a workspace's evaluations, newest first."""

    workspace_id: str
    limit: int
    after: str | None = None
    api_key_id: str | None = None  # None: of all keys


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """An evaluation with the totals of its batches; None before a batch is made."""

    row: EvaluationRow
    answers: BatchTotals | None
    judging: BatchTotals | None


class CellAnswer(NamedTuple):
    """The answer of a cell, or why its line became no job."""

    answer: AnswerRow | None = None
    refusal: Json | None = None  # {status, error}

    @property
    def text(self) -> str | None:
        """The text of the answer, if there is one."""
        return None if self.answer is None else read_text(self.answer.response)

    @property
    def digest(self) -> str | None:
        """A digest of the text, by which equal answers are found."""
        text = self.text
        return None if text is None else hashlib.sha256(text.strip().encode()).hexdigest()[:32]

    @property
    def outcome(self) -> str:
        """`answered`, `refused` by the model, or `failed`."""
        if self.answer is None or self.answer.cost_nanos is None or self.answer.response is None:
            return "failed"
        return "refused" if is_refusal(self.answer) else "answered"


class CellResult(NamedTuple):
    """A cell with its answer and, once they are known, its grades."""

    cell: Cell
    answer: CellAnswer
    grades: Sequence[Grade] = ()


@dataclass(frozen=True, slots=True)
class PromptResults:
    """A prompt with the results of its cells."""

    row: PromptRow
    cells: Sequence[CellResult]

    def texts(self) -> dict[Cell, str]:
        """Return the texts of the cells that were answered."""
        return {
            each.cell: text
            for each in self.cells
            if (text := each.answer.text) is not None and each.answer.outcome != "failed"
        }


def find_evaluation(connection: Connection, evaluation_id: str) -> EvaluationRow | None:
    """Return an evaluation, or None if there is none with this id."""
    row = connection.execute(_SELECT.where(_evaluations.c.id == evaluation_id)).first()
    return None if row is None else EvaluationRow(*row)


def lock_evaluation(connection: Connection, evaluation_id: str) -> EvaluationRow | None:
    """Return an evaluation, and lock its row until the transaction ends."""
    query = _SELECT.where(_evaluations.c.id == evaluation_id).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else EvaluationRow(*row)


def find(connection: Connection, workspace_id: str, evaluation_id: str) -> EvaluationReport | None:
    """Return one evaluation of this workspace."""
    row = find_evaluation(connection, evaluation_id)
    if row is None or row.workspace_id != workspace_id:
        return None
    return _report(connection, row)


def page(connection: Connection, wanted: EvaluationPage) -> list[EvaluationReport]:
    """Return a page of evaluations."""
    query = _SELECT.where(_evaluations.c.workspace_id == wanted.workspace_id)
    if wanted.after is not None:
        query = query.where(_evaluations.c.id < wanted.after)
    if wanted.api_key_id is not None:
        query = query.where(_evaluations.c.api_key_id == wanted.api_key_id)
    query = query.order_by(_evaluations.c.id.desc()).limit(wanted.limit)
    return [_report(connection, EvaluationRow(*row)) for row in connection.execute(query)]


def list_open(connection: Connection) -> Sequence[EvaluationRow]:
    """Return the evaluations that have not ended, oldest first."""
    query = _SELECT.where(_evaluations.c.state.in_(OPEN)).order_by(_evaluations.c.id)
    return [EvaluationRow(*row) for row in connection.execute(query)]


def list_ended_before(
    connection: Connection, workspace_id: str, before: int, most: int
) -> Sequence[str]:
    """Return the ids of up to `most` evaluations of a workspace that ended by `before`."""
    query = select(_evaluations.c.id).where(
        _evaluations.c.workspace_id == workspace_id, _evaluations.c.ended_at <= before
    )
    return connection.execute(query.limit(most)).scalars().all()


def list_prompts(
    connection: Connection, evaluation_id: str, begin: int, most: int
) -> list[PromptRow]:
    """Return up to `most` prompts from the number `begin`."""
    query = _SELECT_PROMPTS.where(
        _prompts.c.evaluation_id == evaluation_id, _prompts.c.number >= begin
    )
    found = connection.execute(query.order_by(_prompts.c.number).limit(most))
    return [PromptRow(*row) for row in found]


def count_page_prompts(plan: Plan) -> int:
    """Return the number of prompts whose cells are read at a time."""
    return max(PAGE_CELLS // len(plan.cells(0)), 1)


def list_results(connection: Connection, plan: Plan, begin: int, most: int) -> list[PromptResults]:
    """Return up to `most` prompts from the number `begin`, with answers and grades."""
    prompts = list_prompts(connection, plan.row.id, begin, most)
    if not prompts:
        return []
    answers = _find_cell_answers(connection, plan, prompts)
    grades = _find_grades(connection, plan.row.id, begin, prompts[-1].number)
    return [
        PromptResults(
            prompt,
            [
                CellResult(cell, answers.get(cell, CellAnswer()), grades.get(cell, ()))
                for cell in plan.cells(prompt.number)
            ],
        )
        for prompt in prompts
    ]


def find_judgements(
    connection: Connection, plan: Plan, custom_ids: Sequence[str]
) -> dict[str, CellAnswer]:
    """Return the answers of graders' calls, by custom_id."""
    query = select(_lines.c.custom_id, _lines.c.job_id, _lines.c.error).where(
        _lines.c.batch_id == plan.row.judging_batch_id, _lines.c.custom_id.in_(custom_ids)
    )
    lines = connection.execute(query).all()
    ids = [line.job_id for line in lines if line.job_id is not None]
    answers = find_answers(connection, plan.row.workspace_id, ids)
    return {line.custom_id: _join(answers, line.job_id, line.error) for line in lines}


def _report(connection: Connection, row: EvaluationRow) -> EvaluationReport:
    found = [
        None if batch_id is None else find_batch(connection, batch_id)
        for batch_id in (row.answers_batch_id, row.judging_batch_id)
    ]
    sums = [None if batch is None else totals(connection, batch) for batch in found]
    return EvaluationReport(row, *sums)


def _find_cell_answers(
    connection: Connection, plan: Plan, prompts: Sequence[PromptRow]
) -> dict[Cell, CellAnswer]:
    """Return the answers of the cells of consecutive prompts."""
    asked = [cell for prompt in prompts for cell in plan.asked_cells(prompt.number)]
    begin = prompts[0].number * len(plan.asked_cells(0))
    lines = connection.execute(
        select(_lines.c.number, _lines.c.job_id, _lines.c.error).where(
            _lines.c.batch_id == plan.row.answers_batch_id,
            _lines.c.number > begin,
            _lines.c.number <= begin + len(asked),
        )
    ).all()
    recorded = {prompt.recorded_job_id: prompt.number for prompt in prompts}
    ids = {each for each in (*recorded, *(line.job_id for line in lines)) if each is not None}
    answers = find_answers(connection, plan.row.workspace_id, ids)
    found = {
        asked[line.number - begin - 1]: _join(answers, line.job_id, line.error) for line in lines
    }
    for job_id, number in recorded.items():
        if job_id is not None:
            found[Cell(number, 0, 0)] = CellAnswer(answers.get(job_id))
    return found


def _join(answers: Mapping[str, AnswerRow], job_id: str | None, error: str | None) -> CellAnswer:
    answer = None if job_id is None else answers.get(job_id)
    return CellAnswer(answer, None if error is None else orjson.loads(error))


def _find_grades(
    connection: Connection, evaluation_id: str, first: int, last: int
) -> dict[Cell, Sequence[Grade]]:
    query = _SELECT_CELLS.where(
        _cells.c.evaluation_id == evaluation_id, _cells.c.prompt.between(first, last)
    )
    rows = [CellRow(*row) for row in connection.execute(query)]
    return {Cell(row.prompt, row.column, row.sample): load_grades(row.grades) for row in rows}


def list_figures(connection: Connection, plan: Plan) -> list[CellFigures]:
    """Return what is measured of all graded cells of an evaluation."""
    query = (
        select(
            *(_cells.c[name] for name in ("prompt", "column", "outcome", "grades", "digest")),
            *(_generations.c[name] for name in ("cost_nanos", "first_token_ms", "duration_ms")),
            *(_generations.c[name] for name in ("input_tokens", "cache_read_tokens")),
            *(_generations.c[name] for name in ("cache_write_tokens", "output_tokens")),
        )
        .outerjoin(_generations, _generations.c.job_id == _cells.c.job_id)
        .where(_cells.c.evaluation_id == plan.row.id)
    )
    return [_measure(*row) for row in connection.execute(query)]


def _measure(
    prompt: int,
    column: int,
    outcome: str,
    grades: str,
    digest: str | None,
    *measured: int | None,
) -> CellFigures:
    cost, first_token, duration, read, cached, written, output = measured
    return CellFigures(
        prompt,
        column,
        outcome,
        load_grades(grades),
        digest,
        cost,
        first_token,
        duration,
        (read or 0) + (cached or 0) + (written or 0),
        output or 0,
    )
