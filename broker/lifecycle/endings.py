"""waiting → cancelled | expired: jobs that end without an attempt in flight."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select, text, update

from broker.completion import ErrorType
from broker.errors import ConflictError, NotFoundError
from broker.lifecycle.announcements import announce
from broker.lifecycle.books import release
from broker.lifecycle.ended import ended
from broker.lifecycle.records import END_JOB, job_end
from broker.states import FINAL, JobState, sources
from broker.tables import Job

EXPIRE_GROUP = 500

_jobs: Any = Job.__table__  # type: ignore[attr-defined]
_ENDING = (
    _jobs.c.id,
    _jobs.c.workspace_id,
    _jobs.c.api_key_id,
    _jobs.c.state,
    _jobs.c.hold_nanos,
    _jobs.c.webhook,
    _jobs.c.batch_id,
    _jobs.c.waiting_for,
    _jobs.c.coalesced_with,
)
# The condition of the index `ix_jobs_deadline`, word for word.
_OVERDUE = (
    select(*_ENDING)
    .where(
        text("jobs.state IN ('queued', 'scheduled')"),
        _jobs.c.deadline_at <= bindparam("now"),
        _jobs.c.dispatch_at <= bindparam("now"),
    )
    .order_by(_jobs.c.deadline_at, _jobs.c.id)
    .limit(EXPIRE_GROUP)
    .with_for_update(skip_locked=True)
)


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
    rows = {
        row.id: row
        for row in connection.execute(
            select(*_ENDING)
            .where(_jobs.c.id.in_([wish.job_id for wish in wishes]))
            .order_by(_jobs.c.id)
            .with_for_update()
        )
    }
    results = [_cancellation(rows.get(wish.job_id), wish) for wish in wishes]
    owned = {wish.job_id for wish in wishes if _owns(rows.get(wish.job_id), wish)}
    _end_unclaimed(connection, [rows[id_] for id_ in owned], JobState.CANCELLED, now)
    running = [id_ for id_ in owned if rows[id_].state == JobState.RUNNING.value]
    if running:
        connection.execute(
            update(_jobs).where(_jobs.c.id.in_(running)).values(cancel_requested=True)
        )
    return results


def _owns(row: Any, wish: Cancellation) -> bool:
    return row is not None and row.workspace_id == wish.workspace_id


def _cancellation(row: Any, wish: Cancellation) -> JobState | Exception:
    if not _owns(row, wish):
        return NotFoundError(f"There is no job {wish.job_id}.")
    state = JobState(row.state)
    if state is JobState.CANCELLED or state is JobState.RUNNING:
        return state
    if state in FINAL:
        return ConflictError(f"Job {wish.job_id} is {state.value}; it can no longer be cancelled.")
    return JobState.CANCELLED


def expire_many(connection: Connection, nows: Sequence[int]) -> Sequence[int]:
    """End waiting jobs whose deadline has passed; return how many."""
    return [_expire(connection, now) for now in nows]


def _expire(connection: Connection, now: int) -> int:
    rows = connection.execute(_OVERDUE, {"now": now}).all()
    return _end_unclaimed(connection, rows, JobState.EXPIRED, now, _expiry)


def _expiry(row: Any) -> str:
    """Return the error of a job whose deadline passed: with what it had waited for, if anything."""
    message = "The job's deadline passed."
    if row.waiting_for is not None:
        told = orjson.loads(row.waiting_for)
        reason = told["reason"].replace("_", " ")
        message = f"The job's deadline passed while it waited for {told['provider']} ({reason})."
    return orjson.dumps({"error_type": ErrorType.TIMEOUT.value, "message": message}).decode()


def _end_unclaimed(
    connection: Connection,
    rows: Iterable[Any],
    state: JobState,
    now: int,
    error: Callable[[Any], str | None] = lambda _: None,
) -> int:
    """End those of `rows` that nobody runs, giving their holds back; return how many."""
    may_end = {source.value for source in sources(state)} - {JobState.RUNNING.value}
    ending = [row for row in rows if row.state in may_end]
    if ending:
        ends = [job_end(row.id, state, now, error(row)) for row in ending]
        connection.execute(END_JOB, ends)
        release(connection, [(row, now) for row in ending])
        announce(connection, [ended(row, row.workspace_id, state, now) for row in ending])
    return len(ending)
