"""Comparisons in answers: rows of answers as JSON, or cells as CSV."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby

import orjson

from broker import spreadsheets
from broker.clock import seconds
from broker.completion import Json
from broker.enums import JobState
from broker.evaluations.answers import read_prompt, render_answer
from broker.evaluations.comparisons import ComparedAnswer
from broker.jobs.states import INACTIVE

COLUMNS = (
    *("row", "prompt", "model", "status", "answer", "cost", "latency_ms", "first_token_ms"),
    *("prompt_tokens", "completion_tokens", "provider", "error", "job_id"),
)


def render_comparison(comparison_id: str, cells: Sequence[ComparedAnswer]) -> Json:
    """Render the whole table. `cells` are in order, and there is at least one."""
    answers = [render_answer(cell.answer) for cell in cells]
    ended = sum(each["status"] in INACTIVE for each in answers)
    rows = [
        {"prompt": prompt_of(cells[group[0]]), "answers": [answers[at] for at in group]}
        for group in _group_rows(cells)
    ]
    return {
        "id": comparison_id,
        "object": "comparison",
        "status": "completed" if ended == len(cells) else "in_progress",
        "created_at": seconds(min(cell.answer.created_at for cell in cells)),
        "counts": {"total": len(cells), "ended": ended},
        "models": [
            _summarize(model, answers) for model in dict.fromkeys(c.answer.model for c in cells)
        ],
        "rows": rows,
        "urls": {"self": f"/api/v1/compare/{comparison_id}"},
    }


def render_csv(cells: Sequence[ComparedAnswer]) -> bytes:
    """Render the cells as CSV, one in each line."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for cell in cells:
        shown = render_answer(cell.answer)
        error = (shown["error"] or {}).get("message")
        shown |= {"row": cell.row + 1, "prompt": prompt_of(cell), "error": error}
        writer.writerow([spreadsheets.cell(shown.get(name)) for name in COLUMNS])
    return out.getvalue().encode()


def prompt_of(compared: ComparedAnswer) -> str:
    """Return the last user message, as text."""
    return read_prompt(orjson.loads(compared.request)["messages"])


def _group_rows(cells: Sequence[ComparedAnswer]) -> list[list[int]]:
    """Return the indexes of each row's cells."""
    return [list(group) for _, group in groupby(range(len(cells)), lambda at: cells[at].row)]


def _summarize(model: str, answers: Sequence[Json]) -> Json:
    mine = [each for each in answers if each["model"] == model]
    done = [each for each in mine if each["status"] == JobState.COMPLETED]
    return {
        "model": model,
        "completed": len(done),
        "failed": sum(each["status"] in INACTIVE for each in mine) - len(done),
        "cost": sum(each["cost"] for each in done),
        "mean_latency_ms": round(_mean([each["latency_ms"] for each in done])),
        "prompt_tokens": sum(each["prompt_tokens"] for each in done),
        "completion_tokens": sum(each["completion_tokens"] for each in done),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
