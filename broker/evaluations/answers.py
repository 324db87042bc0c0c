"""Answers of models in tables: read from jobs, rendered, and summed up for each model.

Comparisons and evaluations share them.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Select, select

from broker.completion import Json
from broker.enums import JobState
from broker.jobs.states import INACTIVE
from broker.jobs.views import job_urls
from broker.money import usd
from broker.storage.tables import Generation, Job, JobPayload, table

_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)


class AnswerRow(NamedTuple):
    """A job with its answer, if it has one. Times are Unix milliseconds."""

    id: str
    api_key_id: str
    state: JobState
    model: str
    error: str | None  # JSON
    created_at: int
    provider: str | None
    finish_reason: str | None
    cost_nanos: int | None
    first_token_ms: int | None
    duration_ms: int | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    response: bytes | None

    @property
    def has_ended(self) -> bool:
        """True for a job that waits for nothing any more."""
        return self.state in INACTIVE

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt, cached ones included."""
        cached = (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0)
        return (self.input_tokens or 0) + cached


def select_answers(*more: Any) -> Select[Any]:
    """Return the query of answers, with more columns after those of `AnswerRow`."""
    return (
        select(
            *(_jobs.c[name] for name in ("id", "api_key_id", "state", "model", "error")),
            _jobs.c.created_at,
            *(_generations.c[name] for name in AnswerRow._fields[6:15]),
            _payloads.c.response,
            *more,
        )
        .join(_payloads, _payloads.c.job_id == _jobs.c.id)
        .outerjoin(_generations, _generations.c.job_id == _jobs.c.id)
    )


def find_answers(
    connection: Connection, workspace_id: str, job_ids: Collection[str]
) -> dict[str, AnswerRow]:
    """Return the answers of jobs of this workspace, by job id."""
    query = select_answers().where(_jobs.c.id.in_(job_ids), _jobs.c.workspace_id == workspace_id)
    return {row.id: AnswerRow(*row) for row in connection.execute(query)}


def render_answer(row: AnswerRow) -> Json:
    """Render an answer: text, cost in US dollars, duration in milliseconds, tokens."""
    is_answered = row.cost_nanos is not None
    return {
        "model": row.model,
        "job_id": row.id,
        "status": row.state,
        "answer": read_text(row.response),
        "error": None if row.error is None else orjson.loads(row.error),
        "provider": row.provider,
        "cost": None if row.cost_nanos is None else usd(row.cost_nanos),
        "latency_ms": row.duration_ms,
        "first_token_ms": row.first_token_ms,
        "prompt_tokens": row.prompt_tokens if is_answered else None,
        "completion_tokens": (row.output_tokens or 0) if is_answered else None,
        "urls": job_urls(row.id),
    }


def read_text(response: bytes | None) -> str | None:
    """Return the text of a completion; tool calls as JSON."""
    if response is None:
        return None
    texts: list[str] = []
    for choice in orjson.loads(response).get("choices") or ():
        message: Json = choice.get("message") or {}
        calls = message.get("tool_calls")
        texts.append(message.get("content") or (orjson.dumps(calls).decode() if calls else ""))
    return "\n".join(texts)


def read_prompt(messages: Sequence[Json]) -> str:
    """Return the last user message, as text."""
    contents = [each.get("content") for each in messages if each.get("role") == "user"]
    last = contents[-1] if contents else ""
    return last if isinstance(last, str) else orjson.dumps(last).decode()


def is_refusal(row: AnswerRow) -> bool:
    """Return whether the model declined to answer."""
    if row.finish_reason == "content_filter":
        return True
    choices = orjson.loads(row.response or b"{}").get("choices") or ()
    return any((choice.get("message") or {}).get("refusal") for choice in choices)
