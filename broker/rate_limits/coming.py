"""Jobs whose time has come: they take a place among the open ones, or wait for one.

They were to be run later, or come out of a provider's batch without an answer. They were counted as
requests when they were asked for, and as open they are counted now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, text, update

from broker.accounts import RequestLimits
from broker.queues import NATIVE_LANE
from broker.rate_limits.asked import open_limits
from broker.rate_limits.limiter import Limiter
from broker.rate_limits.rules import Limit
from broker.storage.tables import ApiKey, Job, Workspace, table

LOOK_AGAIN_MS = 1_000

_jobs = table(Job)
_keys = table(ApiKey)
_workspaces = table(Workspace)
_IS_SCHEDULED = text("jobs.state = 'scheduled'")  # of the index `ix_jobs_scheduled`, word for word
_COMING = (
    select(
        _jobs.c.id,
        _keys.c.id.label("api_key_id"),
        _workspaces.c.id.label("workspace_id"),
        _keys.c.max_concurrent_jobs.label("of_key"),
        _workspaces.c.max_concurrent_jobs.label("of_workspace"),
    )
    .with_hint(_jobs, "INDEXED BY ix_jobs_scheduled", "sqlite")
    .join(_keys, _keys.c.id == _jobs.c.api_key_id)
    .join(_workspaces, _workspaces.c.id == _jobs.c.workspace_id)
    .where(
        _IS_SCHEDULED,
        _jobs.c.lane != NATIVE_LANE,
        _jobs.c.dispatch_at <= bindparam("now"),
        or_(
            _keys.c.max_concurrent_jobs.is_not(None),
            _workspaces.c.max_concurrent_jobs.is_not(None),
        ),
    )
    .order_by(_jobs.c.available_at, _jobs.c.id)
)
_POSTPONE = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("of_job"), _IS_SCHEDULED)
    .values(dispatch_at=bindparam("again_at"))
)


@dataclass(frozen=True, slots=True)
class Coming:
    """A job whose time has come, and what its key and workspace allow at a time."""

    job_id: str
    limits: Sequence[Limit]


def coming(connection: Connection, now: int) -> list[Coming]:
    """Return the jobs that are due and may have to wait, oldest first."""
    return [Coming(row.id, _limits(row)) for row in connection.execute(_COMING, {"now": now})]


async def without_place(limiter: Limiter, due: Sequence[Coming], now: int) -> list[str]:
    """Count these jobs as open; return those for which there is no place now."""
    full: set[Limit] = set()
    waiting = []
    for job in due:
        if full.isdisjoint(job.limits):
            refusal = await limiter.take(job.limits, job.job_id, now)
            if refusal is None:
                continue
            full.add(refusal.limit)
        waiting.append(job.job_id)
    return waiting


@dataclass(frozen=True, slots=True)
class Postponed:
    """Jobs that wait for a place, and when that was."""

    job_ids: Sequence[str]
    now: int


def postpone_many(connection: Connection, groups: Sequence[Postponed]) -> Sequence[None]:
    """Have the dispatcher look at these jobs a little later."""
    rows = [
        {"of_job": job_id, "again_at": each.now + LOOK_AGAIN_MS}
        for each in groups
        for job_id in sorted(each.job_ids)
    ]
    connection.execute(_POSTPONE, rows)
    return [None] * len(groups)


def _limits(row: Any) -> Sequence[Limit]:
    of_key = RequestLimits(max_concurrent_jobs=row.of_key)
    of_workspace = RequestLimits(max_concurrent_jobs=row.of_workspace)
    return open_limits(row.api_key_id, of_key, row.workspace_id, of_workspace)
