"""Transitions of jobs that no worker runs: cancellation, expiry, reopening after a review."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from sqlalchemy import Connection, bindparam, select, text

from broker.billing import ledger
from broker.completion import ErrorType
from broker.enums import JobState
from broker.errors import ConflictError, NotFoundError
from broker.jobs.states import TERMINAL, sources
from broker.lifecycle.announcements import announce
from broker.lifecycle.document_readings import ChargedJob, charge_ocr
from broker.lifecycle.ended_jobs import (
    END_VALUES,
    Ended,
    EndingJob,
    build_end_values,
    insert_generations,
)
from broker.lifecycle.transitions import apply, change, of_attempt, of_job, transition
from broker.queues import REDISPATCH_MS, Ready, choose_lane
from broker.storage.frequent_statements import FrequentUpdate
from broker.storage.tables import Job, columns, table
from broker.usage import Consumption, CountedJob, GenerationRow

EXPIRE_GROUP = 500

_jobs = table(Job)


class OpenJob(EndingJob, CountedJob, ChargedJob, Protocol):
    """A row of `jobs` that may end without an attempt's end."""

    state: JobState
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


_REQUEST_CANCELLATION = FrequentUpdate(
    of_attempt(change(JobState.RUNNING)).values(cancel_requested=True)
)
_END_UNCLAIMED = {
    state: FrequentUpdate(
        of_job(transition(state, *(set(sources(state)) - {JobState.RUNNING}))).values(END_VALUES)
    )
    for state in (JobState.CANCELLED, JobState.EXPIRED)
}


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A caller's request to end a job."""

    job_id: str
    workspace_id: str
    now: int


def cancel_many(
    connection: Connection, cancellations: Sequence[Cancellation]
) -> Sequence[JobState | Exception]:
    """Cancel waiting jobs at once; request the workers of running ones to stop.

    Each result is the job's state now, RUNNING until its worker has stopped, or a NotFoundError or
    ConflictError.
    """
    now = cancellations[0].now
    requested = {(each.job_id, each.workspace_id) for each in cancellations}
    found: Iterable[OpenJob] = connection.execute(
        select(*_OPEN)
        .where(_jobs.c.id.in_([each.job_id for each in cancellations]))
        .order_by(_jobs.c.id)
        .with_for_update()
    )
    rows = {key: row for row in found if (key := (row.id, row.workspace_id)) in requested}
    results = [
        _cancelled_state(rows.get((each.job_id, each.workspace_id)), each.job_id)
        for each in cancellations
    ]
    _end_unclaimed(connection, rows.values(), JobState.CANCELLED, now)
    running = [row for row in rows.values() if row.state == JobState.RUNNING.value]
    apply(
        connection,
        _REQUEST_CANCELLATION,
        [{"of_job": row.id, "of_attempt": row.attempt} for row in running],
    )
    return results


def _cancelled_state(row: OpenJob | None, job_id: str) -> JobState | Exception:
    if row is None:
        return NotFoundError(f"There is no job {job_id}.")
    state = JobState(row.state)
    if state is JobState.CANCELLED or state is JobState.RUNNING:
        return state
    if state in TERMINAL:
        return ConflictError(f"Job {job_id} is {state.value}; it can no longer be cancelled.")
    return JobState.CANCELLED


def expire(connection: Connection, now: int) -> int:
    """End waiting jobs whose deadline has passed; return how many there were."""
    rows: Sequence[OpenJob] = connection.execute(_OVERDUE, {"now": now}).all()
    return _end_unclaimed(connection, rows, JobState.EXPIRED, now, _expiry_error)


def _expiry_error(row: OpenJob) -> str:
    """Return the error (JSON) of a job whose deadline passed, with the reason of its wait."""
    message = "The job's deadline passed."
    if row.waiting_for is not None:
        wait = orjson.loads(row.waiting_for)
        reason = wait["reason"].replace("_", " ")
        message = f"The job's deadline passed while it waited for {wait['provider']} ({reason})."
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
    """End those of `rows` that no worker runs, and release their holds; return how many.

    OCR that an earlier attempt has used is charged.
    """
    may_end = {source.value for source in sources(state)} - {JobState.RUNNING.value}
    ending = [row for row in rows if row.state in may_end]
    if ending:
        ends = [build_end_values(row.id, state, now, error(row)) for row in ending]
        apply(connection, _END_UNCLAIMED[state], ends)
        charged = {row.id: charge_ocr(row, None, now) for row in ending if row.ocr_nanos}
        insert_generations(connection, list(charged.values()))
        ledger.append(connection, [_build_entry(row, charged.get(row.id), now) for row in ending])
        announce(connection, [_build_end(row, state, charged.get(row.id), now) for row in ending])
    return len(ending)


def _build_entry(row: OpenJob, generation: GenerationRow | None, now: int) -> ledger.NewEntry:
    if generation is None:
        return ledger.release(row, now=now)
    return ledger.settle(row, cost_nanos=generation.cost_nanos, now=now)


def _build_end(row: OpenJob, state: JobState, generation: GenerationRow | None, now: int) -> Ended:
    consumed = None if generation is None else Consumption.of(row, generation, now)
    return Ended(row, state, now, consumed)


class ReviewedJob(Protocol):
    """A row of `jobs` that may wait for its owner's decision."""

    id: str
    workspace_id: str
    state: JobState
    provider: str
    lane: str


_REOPEN = FrequentUpdate(
    of_job(transition(JobState.QUEUED, JobState.NEEDS_REVIEW)).values(
        lane=bindparam("in_lane"),
        error=None,
        attempts_used=0,
        tries_here=0,
        available_at=bindparam("now"),
        dispatch_at=bindparam("again_at"),
    )
)


def reopen(connection: Connection, job_id: str, workspace_id: str, now: int) -> Ready:
    """Queue a job that waits for review, although it may have been billed; the caller publishes it.

    Raises NotFoundError, or ConflictError for a job in another state.
    """
    row: ReviewedJob | None = connection.execute(
        select(*columns(ReviewedJob, _jobs))
        .where(_jobs.c.id == job_id, _jobs.c.workspace_id == workspace_id)
        .with_for_update()
    ).first()
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.")
    if row.state != JobState.NEEDS_REVIEW.value:
        raise ConflictError(
            f"Job {job_id} is {row.state}; only a job that needs review can be retried."
        )
    lane = choose_lane(row.lane)
    again_at = now + REDISPATCH_MS
    apply(
        connection,
        _REOPEN,
        [{"of_job": job_id, "in_lane": lane, "now": now, "again_at": again_at}],
    )
    return Ready(row.id, row.provider, lane)
