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
from broker.jobs.states import INACTIVE
from broker.jobs.views import job_urls
from broker.money import usd
from broker.submission.comparisons import Cell

COLUMNS = (
    *("row", "prompt", "model", "status", "answer", "cost", "latency_ms", "first_token_ms"),
    *("prompt_tokens", "completion_tokens", "provider", "error", "job_id"),
)


def render_comparison(comparison_id: str, cells: Sequence[Cell]) -> Json:
    """Render the whole table. `cells` are in order, and there is at least one."""
    answers = [render_cell(cell) for cell in cells]
    ended = sum(each["status"] in INACTIVE for each in answers)
    rows = [
        {"prompt": prompt_of(cells[group[0]]), "answers": [answers[at] for at in group]}
        for group in _group_rows(cells)
    ]
    return {
        "id": comparison_id,
        "object": "comparison",
        "status": "completed" if ended == len(cells) else "in_progress",
        "created_at": seconds(min(cell.job.created_at for cell in cells)),
        "counts": {"total": len(cells), "ended": ended},
        "models": [
            _summarize(model, answers) for model in dict.fromkeys(c.job.model for c in cells)
        ],
        "rows": rows,
        "urls": {"self": f"/api/v1/compare/{comparison_id}"},
    }


def render_csv(cells: Sequence[Cell]) -> bytes:
    """Render the cells as CSV, one in each line."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for cell in cells:
        shown = render_cell(cell)
        error = (shown["error"] or {}).get("message")
        shown |= {"row": cell.row + 1, "prompt": prompt_of(cell), "error": error}
        writer.writerow([spreadsheets.cell(shown.get(name)) for name in COLUMNS])
    return out.getvalue().encode()


def render_cell(cell: Cell) -> Json:
    """Render one cell: the answer of the model, its cost and its duration."""
    job, is_answered = cell.job, cell.job.cost_nanos is not None
    read, write = job.cache_read_tokens or 0, job.cache_write_tokens or 0
    return {
        "model": job.model,
        "job_id": job.id,
        "status": job.state,
        "answer": _text(cell.response),
        "error": None if job.error is None else orjson.loads(job.error),
        "provider": job.provider,
        "cost": None if job.cost_nanos is None else usd(job.cost_nanos),
        "latency_ms": job.duration_ms,
        "first_token_ms": job.first_token_ms,
        "prompt_tokens": (job.input_tokens or 0) + read + write if is_answered else None,
        "completion_tokens": (job.output_tokens or 0) if is_answered else None,
        "urls": job_urls(job.id),
    }


def prompt_of(cell: Cell) -> str:
    """Return the last user message, as text."""
    messages = orjson.loads(cell.request)["messages"]
    contents = [each.get("content") for each in messages if each.get("role") == "user"]
    last = contents[-1] if contents else ""
    return last if isinstance(last, str) else orjson.dumps(last).decode()


def _group_rows(cells: Sequence[Cell]) -> list[list[int]]:
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


def _text(response: bytes | None) -> str | None:
    """Return the text of a completion; tool calls as JSON."""
    if response is None:
        return None
    texts: list[str] = []
    for choice in orjson.loads(response).get("choices") or ():
        message: Json = choice.get("message") or {}
        calls = message.get("tool_calls")
        texts.append(message.get("content") or (orjson.dumps(calls).decode() if calls else ""))
    return "\n".join(texts)
