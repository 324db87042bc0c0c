"""Submit and read comparisons: the same prompts to several models, without graders.

A comparison consists of its jobs: their `batch_id` is its id, their `extra` contains the place in
the table. All of them are accepted, or none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from broker.evaluations.answers import AnswerRow, select_answers
from broker.ids import new_id
from broker.storage.tables import Job, JobPayload, table
from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted

CELL = "comparison"
"""The key of the row and the column in a job's `extra`."""

_jobs = table(Job)
_payloads = table(JobPayload)


@dataclass(frozen=True, slots=True)
class ComparedAnswer:
    """The answer of one model to one prompt, with its place in the table."""

    row: int
    column: int
    answer: AnswerRow
    request: bytes


def make_comparison_id(workspace_id: str, idempotency_key: str | None) -> str:
    """Return the id of a comparison; the same idempotency key gives the same id."""
    if idempotency_key is None:
        return new_id("cmp_")
    digest = hashlib.sha256(f"{workspace_id}\n{idempotency_key}".encode()).hexdigest()
    return f"cmp_{digest[:26]}"


def submit_together(connection: Connection, jobs: Sequence[NewJob]) -> list[Submitted]:
    """Insert all jobs, or raise the first refusal and write none of them."""
    submitted: list[Submitted] = []
    for result in submit_many(connection, jobs):
        if isinstance(result, Exception):
            raise result
        submitted.append(result)
    return submitted


def list_answers(
    connection: Connection, workspace_id: str, comparison: str
) -> list[ComparedAnswer]:
    """Return the answers of a comparison of this workspace, by rows; none for an unknown id."""
    query = select_answers(_payloads.c.request, _payloads.c.extra).where(
        _jobs.c.batch_id == comparison, _jobs.c.workspace_id == workspace_id
    )
    found = [_build_answer(row) for row in connection.execute(query)]
    return sorted(found, key=lambda answer: (answer.row, answer.column))


def _build_answer(row: Row[Any]) -> ComparedAnswer:
    place = orjson.loads(row.extra)[CELL]
    answer = AnswerRow(*row[: len(AnswerRow._fields)])
    return ComparedAnswer(place["row"], place["column"], answer, row.request)
