"""The same prompts to several models: jobs that belong together, read as a table.

A comparison is its jobs: their `batch_id` is its id, their `extra` says which cell each is. All of
them are accepted, or none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from broker.ids import new_id
from broker.storage.tables import Generation, Job, JobPayload, table
from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted

CELL = "comparison"
"""The name in a job's `extra` under which its row and column are."""

_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)


@dataclass(frozen=True, slots=True)
class Cell:
    """One prompt at one model: the job's row, and what came of it."""

    row: int
    column: int
    job: Any  # columns of `jobs` and, where there is an answer, of `generations`
    request: bytes
    response: bytes | None


def comparison_id(workspace_id: str, idempotency_key: str | None) -> str:
    """Return the id of a comparison: the same for the same key, so that a repeat finds it."""
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


def cells(connection: Connection, workspace_id: str, comparison: str) -> list[Cell]:
    """Return the cells of a comparison of this workspace, row by row; none where there is none."""
    made = _generations.c
    query = (
        select(
            *(
                _jobs.c.id,
                _jobs.c.api_key_id,
                _jobs.c.state,
                _jobs.c.model,
                _jobs.c.error,
                _jobs.c.created_at,
            ),
            *(made.provider, made.cost_nanos, made.first_token_ms, made.duration_ms),
            *(made.input_tokens, made.cache_read_tokens, made.cache_write_tokens),
            *(made.output_tokens, _payloads.c.request, _payloads.c.response, _payloads.c.extra),
        )
        .join(_payloads, _payloads.c.job_id == _jobs.c.id)
        .outerjoin(_generations, made.job_id == _jobs.c.id)
        .where(_jobs.c.batch_id == comparison, _jobs.c.workspace_id == workspace_id)
    )
    found = [_cell(row) for row in connection.execute(query)]
    return sorted(found, key=lambda cell: (cell.row, cell.column))


def _cell(row: Any) -> Cell:
    place = orjson.loads(row.extra)[CELL]
    return Cell(place["row"], place["column"], row, row.request, row.response)
