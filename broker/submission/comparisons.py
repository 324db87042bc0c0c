"""Submit and read comparisons: the same prompts to several models.

A comparison consists of its jobs: their `batch_id` is its id, their `extra` contains the cell. All
of them are accepted, or none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from sqlalchemy import Connection, select

from broker.ids import new_id
from broker.storage.tables import Generation, Job, JobPayload, table
from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted

CELL = "comparison"
"""The key of the row and the column in a job's `extra`."""

_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)


class CellJob(Protocol):
    """Columns of `jobs` and, where there is an answer, of `generations`."""

    id: str
    api_key_id: str
    state: str
    model: str
    error: str | None  # JSON
    created_at: int  # Unix ms
    provider: str | None
    cost_nanos: int | None
    first_token_ms: int | None
    duration_ms: int | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    request: bytes
    response: bytes | None
    extra: str  # JSON


@dataclass(frozen=True, slots=True)
class Cell:
    """One prompt at one model, with its job."""

    row: int
    column: int
    job: CellJob
    request: bytes
    response: bytes | None


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


def list_cells(connection: Connection, workspace_id: str, comparison: str) -> list[Cell]:
    """Return the cells of a comparison of this workspace, by rows; none for an unknown id."""
    generations = _generations.c
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
            *(
                generations.provider,
                generations.cost_nanos,
                generations.first_token_ms,
                generations.duration_ms,
            ),
            *(
                generations.input_tokens,
                generations.cache_read_tokens,
                generations.cache_write_tokens,
            ),
            *(
                generations.output_tokens,
                _payloads.c.request,
                _payloads.c.response,
                _payloads.c.extra,
            ),
        )
        .join(_payloads, _payloads.c.job_id == _jobs.c.id)
        .outerjoin(_generations, generations.job_id == _jobs.c.id)
        .where(_jobs.c.batch_id == comparison, _jobs.c.workspace_id == workspace_id)
    )
    found = [_build_cell(row) for row in connection.execute(query)]
    return sorted(found, key=lambda cell: (cell.row, cell.column))


def _build_cell(row: CellJob) -> Cell:
    cell = orjson.loads(row.extra)[CELL]
    return Cell(cell["row"], cell["column"], row, row.request, row.response)
