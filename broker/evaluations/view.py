"""Render evaluations and their results: times as Unix seconds, money as US dollars."""

from collections.abc import Iterator, Sequence

import orjson

from broker.batches.reports import BatchTotals
from broker.clock import seconds
from broker.completion import Json
from broker.enums import EvaluationState, StopReason
from broker.evaluations.answers import read_prompt, render_answer
from broker.evaluations.grades import describe_grade
from broker.evaluations.reports import CellResult, EvaluationReport, PromptResults
from broker.evaluations.rows import OPEN, Plan
from broker.money import usd

PATH = "/api/v1/evaluations"
CANCELLING = "cancelling"
"""The status of an evaluation that was stopped and has not ended."""


def render_evaluation(report: EvaluationReport) -> Json:
    """Render an evaluation for GET /evaluations/{id}."""
    row, plan = report.row, Plan.of(report.row)
    calls = plan.specification.count_calls(row.prompts_total, is_replay=row.is_replay)
    return {
        "id": row.id,
        "object": "evaluation",
        "name": row.name,
        "status": _find_status(row.state, row.stop_reason),
        "stop_reason": row.stop_reason,
        "is_replay": row.is_replay,
        "specification": orjson.loads(row.specification),
        "columns": [column.label for column in plan.columns],
        "baseline": plan.columns[plan.baseline].label,
        "prompts": row.prompts_total,
        "prompts_graded": row.prompts_graded,
        "answers": _count(report.answers, calls[0]),
        "judging": _count(report.judging, calls[1]),
        "cost": sum(_cost(each) for each in (report.answers, report.judging)),
        "max_cost": None if row.max_cost_nanos is None else usd(row.max_cost_nanos),
        "created_at": seconds(row.created_at),
        "expires_at": seconds(row.expires_at),
        "ended_at": seconds(row.ended_at),
        "summary": None if row.summary is None else orjson.loads(row.summary),
        "urls": {"self": f"{PATH}/{row.id}", "results": f"{PATH}/{row.id}/results"},
    }


def render_results(plan: Plan, page: Sequence[PromptResults]) -> Iterator[Json]:
    """Yield the cells of some prompts, in order."""
    for each in page:
        prompt = each.row.read_prompt()
        shown = {
            "prompt_number": each.row.number + 1,
            "prompt_id": prompt.id,
            "prompt": read_prompt(prompt.conversation()),
            "expected": prompt.expected,
            "metadata": prompt.metadata,
            "recorded_job_id": each.row.recorded_job_id,
        }
        for result in each.cells:
            yield shown | _render_cell(plan, result)


def _render_cell(plan: Plan, result: CellResult) -> Json:
    names = [grader.name for grader in plan.specification.graders]
    answer = result.answer.answer
    shown = None if answer is None else render_answer(answer)
    refusal = result.answer.refusal
    return {
        "column": plan.columns[result.cell.column].label,
        "sample": result.cell.sample + 1,
        "status": _find_cell_status(result),
        "outcome": result.answer.outcome if result.grades or _has_ended(result) else None,
        "answer": shown,
        "error": None if refusal is None else refusal["error"],
        "grades": {
            name: describe_grade(grade) for name, grade in zip(names, result.grades, strict=False)
        },
    }


def _has_ended(result: CellResult) -> bool:
    answer = result.answer.answer
    return result.answer.refusal is not None or (answer is not None and answer.has_ended)


def _find_cell_status(result: CellResult) -> str:
    """Return the state of a cell's job; `refused` without one, and `waiting` before it."""
    if result.answer.answer is not None:
        return result.answer.answer.state.value
    return "waiting" if result.answer.refusal is None else "refused"


def _find_status(state: EvaluationState, reason: StopReason | None) -> str:
    return CANCELLING if reason is not None and state in OPEN else state.value


def _count(totals: BatchTotals | None, expected: int) -> Json:
    if totals is None:
        return {"total": expected, "completed": 0, "failed": 0, "cost": 0}
    return {
        "total": totals.total,
        "completed": totals.completed,
        "failed": totals.failed,
        "cost": usd(totals.cost_nanos),
    }


def _cost(totals: BatchTotals | None) -> float:
    return 0 if totals is None else usd(totals.cost_nanos)
