"""Read the open jobs of a native batch, as an attempt needs them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from broker.enums import JobState
from broker.lifecycle import ClaimedJob
from broker.lifecycle.claims import Body, JobToRun, build_claimed_job
from broker.storage.tables import Attempt, Job, JobPayload, NativeBatch, NativeLine, columns, table

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)
_batches = table(NativeBatch)
_lines = table(NativeLine)


class _OpenJob(JobToRun, Protocol):
    """The columns of an open job of a batch."""

    cancel_requested: bool


_OPEN_JOB = columns(_OpenJob, _jobs)
_BODIES = select(*columns(Body, _payloads))


@dataclass(frozen=True, slots=True)
class Called:
    """A job of a batch, with the begin of its attempt and whether its caller has cancelled it."""

    job: ClaimedJob
    began_at: int
    called_off: bool


def open_jobs(
    connection: Connection, batch_id: str, after: str = "", limit: int = 100
) -> list[Called]:
    """Return jobs that are still open in this batch, in the order of their ids."""
    return _found(connection, batch_id, _jobs.c.id > after, limit)


def open_among(connection: Connection, batch_id: str, ids: Collection[str]) -> list[Called]:
    """Return those of `ids` that are still open in this batch."""
    return _found(connection, batch_id, _jobs.c.id.in_(ids), None)


def ended_early(connection: Connection, batch_id: str, now: int, limit: int) -> list[Called]:
    """Return jobs of this batch that their callers cancelled, or whose deadline has passed."""
    early = or_(_jobs.c.cancel_requested.is_(True), _jobs.c.deadline_at <= now)
    return _found(connection, batch_id, early, limit)


def known_upstream(connection: Connection, batch_id: str) -> set[str]:
    """Return the provider's ids of all other stored batches."""
    query = select(_batches.c.upstream_id).where(
        _batches.c.upstream_id.is_not(None), _batches.c.id != batch_id
    )
    return set(connection.execute(query).scalars())


def open_count(connection: Connection, batch_id: str) -> int:
    """Return the number of jobs that are still open in this batch."""
    return int(connection.execute(_held(select(func.count()), batch_id)).scalar_one())


def _held(query: Select[Any], batch_id: str) -> Select[Any]:
    """Restrict a query to the jobs whose attempt is still open in this batch."""
    return query.select_from(_lines.join(_jobs, _jobs.c.id == _lines.c.job_id)).where(
        _lines.c.native_batch_id == batch_id,
        _jobs.c.state == JobState.RUNNING,
        _jobs.c.attempt == _lines.c.attempt,
    )


def _found(
    connection: Connection, batch_id: str, condition: ColumnElement[bool], limit: int | None
) -> list[Called]:
    query = _held(select(*_OPEN_JOB), batch_id).where(condition).order_by(_jobs.c.id).limit(limit)
    rows = connection.execute(query).all()
    ids = [row.id for row in rows]
    bodies = {
        row.job_id: row for row in connection.execute(_BODIES.where(_payloads.c.job_id.in_(ids)))
    }
    tried = select(_attempts.c.job_id, _attempts.c.number, _attempts.c.started_at).where(
        _attempts.c.job_id.in_(ids)
    )
    began = {(row.job_id, row.number): row.started_at for row in connection.execute(tried)}
    return [
        Called(
            build_claimed_job(row, bodies[row.id]),
            began[(row.id, row.attempt)],
            row.cancel_requested,
        )
        for row in rows
    ]
