"""needs_review → queued: the caller has decided that the job is to be tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from broker.errors import ConflictError, NotFoundError
from broker.jobs.states import JobState
from broker.queues import REDISPATCH_MS, Ready, ordinary
from broker.storage.tables import Job, columns, table

_jobs = table(Job)


class ReviewedJob(Protocol):
    """A row of `jobs` that may wait for its owner's decision."""

    id: str
    workspace_id: str
    state: str
    provider: str
    lane: str


_REOPEN = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("of_job"), _jobs.c.state == JobState.NEEDS_REVIEW.value)
    .values(
        state=JobState.QUEUED.value,
        lane=bindparam("in_lane"),
        error=None,
        attempts_used=0,
        tries_here=0,
        available_at=bindparam("now"),
        dispatch_at=bindparam("again_at"),
    )
)


@dataclass(frozen=True, slots=True)
class Reopening:
    """A caller's decision to try a job again although it may have been billed upstream."""

    job_id: str
    workspace_id: str
    now: int


def reopen_many(connection: Connection, wishes: Sequence[Reopening]) -> Sequence[Ready | Exception]:
    """Queue jobs that wait for review; the caller publishes what comes back."""
    rows: dict[str, ReviewedJob] = {
        row.id: row
        for row in connection.execute(
            select(*columns(ReviewedJob, _jobs))
            .where(_jobs.c.id.in_([wish.job_id for wish in wishes]))
            .order_by(_jobs.c.id)
            .with_for_update()
        )
    }
    results = [_reopened(rows.get(wish.job_id), wish) for wish in wishes]
    reopened = [
        {
            "of_job": wish.job_id,
            "in_lane": result.lane,
            "now": wish.now,
            "again_at": wish.now + REDISPATCH_MS,
        }
        for wish, result in zip(wishes, results, strict=True)
        if isinstance(result, Ready)
    ]
    if reopened:
        connection.execute(_REOPEN, reopened)
    return results


def _reopened(row: ReviewedJob | None, wish: Reopening) -> Ready | Exception:
    if row is None or row.workspace_id != wish.workspace_id:
        return NotFoundError(f"There is no job {wish.job_id}.")
    if row.state != JobState.NEEDS_REVIEW.value:
        return ConflictError(
            f"Job {wish.job_id} is {row.state}; only a job that needs review can be retried."
        )
    return Ready(row.id, row.provider, ordinary(row.lane))
