"""The jobs that a batch still holds, as an attempt needs them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from broker.enums import JobState
from broker.lifecycle import ClaimedJob
from broker.lifecycle.claims import claimed_job
from broker.storage.tables import Attempt, Job, JobPayload, NativeBatch, NativeLine, table

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)
_batches = table(NativeBatch)
_lines = table(NativeLine)


@dataclass(frozen=True, slots=True)
class Called:
    """A job in a batch, with when its attempt began and whether its caller has called it off."""

    job: ClaimedJob
    began_at: int
    called_off: bool


def open_jobs(
    connection: Connection, batch_id: str, after: str = "", limit: int = 100
) -> list[Called]:
    """Return jobs that this batch still holds, in the order of their ids."""
    return _found(connection, batch_id, _jobs.c.id > after, limit)


def open_among(connection: Connection, batch_id: str, ids: Collection[str]) -> list[Called]:
    """Return those of `ids` that this batch still holds."""
    return _found(connection, batch_id, _jobs.c.id.in_(ids), None)


def ended_early(connection: Connection, batch_id: str, now: int, limit: int) -> list[Called]:
    """Return jobs of this batch that their callers called off, or whose deadline has passed."""
    early = or_(_jobs.c.cancel_requested.is_(True), _jobs.c.deadline_at <= now)
    return _found(connection, batch_id, early, limit)


def known_upstream(connection: Connection, batch_id: str) -> set[str]:
    """Return the provider's names of all other batches that are on record."""
    query = select(_batches.c.upstream_id).where(
        _batches.c.upstream_id.is_not(None), _batches.c.id != batch_id
    )
    return set(connection.execute(query).scalars())


def open_count(connection: Connection, batch_id: str) -> int:
    """Return how many jobs this batch still holds."""
    return int(connection.execute(_held(select(func.count()), batch_id)).scalar_one())


def _held(query: Any, batch_id: str) -> Any:
    """Return the jobs of a batch whose attempt is still open in this batch."""
    return query.select_from(_lines.join(_jobs, _jobs.c.id == _lines.c.job_id)).where(
        _lines.c.native_batch_id == batch_id,
        _jobs.c.state == JobState.RUNNING,
        _jobs.c.attempt == _lines.c.attempt,
    )


def _found(
    connection: Connection, batch_id: str, condition: Any, limit: int | None
) -> list[Called]:
    query = _held(select(_jobs), batch_id).where(condition).order_by(_jobs.c.id).limit(limit)
    rows: Sequence[Any] = connection.execute(query).all()
    ids = [row.id for row in rows]
    bodies = {
        row.job_id: row
        for row in connection.execute(select(_payloads).where(_payloads.c.job_id.in_(ids)))
    }
    tried = select(_attempts.c.job_id, _attempts.c.number, _attempts.c.started_at).where(
        _attempts.c.job_id.in_(ids)
    )
    began = {(row.job_id, row.number): row.started_at for row in connection.execute(tried)}
    return [
        Called(claimed_job(row, bodies[row.id]), began[(row.id, row.attempt)], row.cancel_requested)
        for row in rows
    ]
