"""waiting → cancelled | expired, needs_review → queued: transitions with no attempt in flight."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from sqlalchemy import Connection, bindparam, select, text

from broker.billing import ledger
from broker.completion import ErrorType
from broker.errors import ConflictError, NotFoundError
from broker.jobs.states import TERMINAL, JobState, sources
from broker.lifecycle.announcements import announce
from broker.lifecycle.ends import Ended, EndingJob
from broker.lifecycle.records import END_VALUES, end_values
from broker.lifecycle.transitions import apply, change, of_attempt, of_job, transition
from broker.queues import REDISPATCH_MS, Ready, ordinary
from broker.storage.tables import Job, columns, table

EXPIRE_GROUP = 500

_jobs = table(Job)


class OpenJob(EndingJob, Protocol):
    """A row of `jobs` that may end without an attempt's end."""

    state: str
    attempt: int
    waiting_for: str | None


_OPEN = columns(OpenJob, _jobs)
# The condition of the index `ix_jobs_deadline`, word for word.
_OVERDUE = (
    select(*_OPEN)
    .where(
        text("jobs.state IN ('queued', 'scheduled')"),
        _jobs.c.deadline_at <= bindparam("now"),
        _jobs.c.dispatch_at <= bindparam("now"),
    )
    .order_by(_jobs.c.deadline_at, _jobs.c.id)
    .limit(EXPIRE_GROUP)
    .with_for_update(skip_locked=True)
)


_REQUEST_CANCELLATION = of_attempt(change(JobState.RUNNING)).values(cancel_requested=True)
_END_UNCLAIMED = {
    state: of_job(transition(state, *(set(sources(state)) - {JobState.RUNNING}))).values(END_VALUES)
    for state in (JobState.CANCELLED, JobState.EXPIRED)
}


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A caller's wish to end a job."""

    job_id: str
    workspace_id: str
    now: int


def cancel_many(
    connection: Connection, wishes: Sequence[Cancellation]
) -> Sequence[JobState | Exception]:
    """Cancel what waits at once, ask the worker to stop what runs; a job that ended is a conflict.

    Returns the state the job is in now: RUNNING when its worker has yet to stop.
    """
    now = wishes[0].now
    asked = {(wish.job_id, wish.workspace_id) for wish in wishes}
    found: Iterable[OpenJob] = connection.execute(
        select(*_OPEN)
        .where(_jobs.c.id.in_([wish.job_id for wish in wishes]))
        .order_by(_jobs.c.id)
        .with_for_update()
    )
    rows = {key: row for row in found if (key := (row.id, row.workspace_id)) in asked}
    results = [_cancellation(rows.get((wish.job_id, wish.workspace_id)), wish) for wish in wishes]
    _end_unclaimed(connection, rows.values(), JobState.CANCELLED, now)
    running = [row for row in rows.values() if row.state == JobState.RUNNING.value]
    apply(
        connection,
        _REQUEST_CANCELLATION,
        [{"of_job": row.id, "of_attempt": row.attempt} for row in running],
    )
    return results


def _cancellation(row: OpenJob | None, wish: Cancellation) -> JobState | Exception:
    if row is None:
        return NotFoundError(f"There is no job {wish.job_id}.")
    state = JobState(row.state)
    if state is JobState.CANCELLED or state is JobState.RUNNING:
        return state
    if state in TERMINAL:
        return ConflictError(f"Job {wish.job_id} is {state.value}; it can no longer be cancelled.")
    return JobState.CANCELLED


def expire_many(connection: Connection, nows: Sequence[int]) -> Sequence[int]:
    """End waiting jobs whose deadline has passed; return how many."""
    return [_expire(connection, now) for now in nows]


def _expire(connection: Connection, now: int) -> int:
    rows: Sequence[OpenJob] = connection.execute(_OVERDUE, {"now": now}).all()
    return _end_unclaimed(connection, rows, JobState.EXPIRED, now, _expiry)


def _expiry(row: OpenJob) -> str:
    """Return the error of a job whose deadline passed: with what it had waited for, if anything."""
    message = "The job's deadline passed."
    if row.waiting_for is not None:
        told = orjson.loads(row.waiting_for)
        reason = told["reason"].replace("_", " ")
        message = f"The job's deadline passed while it waited for {told['provider']} ({reason})."
    return orjson.dumps(
        {"error_type": ErrorType.DEADLINE_EXCEEDED.value, "message": message}
    ).decode()


def _end_unclaimed(
    connection: Connection,
    rows: Iterable[OpenJob],
    state: JobState,
    now: int,
    error: Callable[[OpenJob], str | None] = lambda _: None,
) -> int:
    """End those of `rows` that nobody runs, giving their holds back; return how many."""
    may_end = {source.value for source in sources(state)} - {JobState.RUNNING.value}
    ending = [row for row in rows if row.state in may_end]
    if ending:
        ends = [end_values(row.id, state, now, error(row)) for row in ending]
        apply(connection, _END_UNCLAIMED[state], ends)
        ledger.append(connection, [ledger.release(row, now=now) for row in ending])
        announce(connection, [Ended(row, state, now) for row in ending])
    return len(ending)


class ReviewedJob(Protocol):
    """A row of `jobs` that may wait for its owner's decision."""

    id: str
    workspace_id: str
    state: str
    provider: str
    lane: str


_REOPEN = of_job(transition(JobState.QUEUED, JobState.NEEDS_REVIEW)).values(
    lane=bindparam("in_lane"),
    error=None,
    attempts_used=0,
    tries_here=0,
    available_at=bindparam("now"),
    dispatch_at=bindparam("again_at"),
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
    apply(connection, _REOPEN, reopened)
    return results


def _reopened(row: ReviewedJob | None, wish: Reopening) -> Ready | Exception:
    if row is None or row.workspace_id != wish.workspace_id:
        return NotFoundError(f"There is no job {wish.job_id}.")
    if row.state != JobState.NEEDS_REVIEW.value:
        return ConflictError(
            f"Job {wish.job_id} is {row.state}; only a job that needs review can be retried."
        )
    return Ready(row.id, row.provider, ordinary(row.lane))
