"""The limits that a job is counted against, and scheduled jobs that come under them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, text, update

from broker.accounts import Principal, RequestLimits
from broker.enums import JobState
from broker.queues import NATIVE_LANE
from broker.rate_limits.limiter import Limiter
from broker.rate_limits.rules import LimitKind, RateLimit
from broker.settings import Settings
from broker.storage.tables import ApiKey, Job, Workspace, table


def limits_of(
    principal: Principal, row: Mapping[str, Any], settings: Settings, *, is_free: bool = False
) -> Sequence[RateLimit]:
    """Return the limits of a new job (its row is given): its key's, its workspace's, free models'.

    `is_free`: the request names a free model, see `routing.names_free_model`.

    A job for later counts as a request, and as open once its time has come (`coming`).
    Nor is one open that goes into a provider's batch, where it waits for hours.
    """
    is_open = row["state"] != JobState.SCHEDULED.value and row["lane"] != NATIVE_LANE
    limits = [
        *_own("key", principal.api_key_id, principal.limits, is_open=is_open),
        *_own("workspace", principal.workspace_id, principal.workspace_limits, is_open=is_open),
    ]
    if is_free:
        limits += free_limits(principal, settings)
    return limits


def free_limits(principal: Principal, settings: Settings) -> list[RateLimit]:
    """Return the limits of `:free` models: a workspace's, so that more keys raise nothing."""
    name, source = f"free:{principal.workspace_id}", "the workspace's limit of free models"
    minute, day = settings.free_requests_per_minute, free_per_day(principal, settings)
    limits = [RateLimit(LimitKind.RATE, name, minute, source)] if minute else []
    return [*limits, RateLimit(LimitKind.DAY, name, day, source)] if day else limits


def free_per_day(principal: Principal, settings: Settings) -> int:
    """Return the day's limit of `:free` models (0 = none); a workspace may have its own."""
    own = principal.settings.get("free_requests_per_day")
    return own if isinstance(own, int) and own >= 0 else settings.free_requests_per_day


def open_limits(
    api_key_id: str, of_key: RequestLimits, workspace_id: str, of_workspace: RequestLimits
) -> list[RateLimit]:
    """Return the limits on open jobs that count a scheduled job when it is due."""
    limits = [
        *_own("key", api_key_id, of_key, is_open=True),
        *_own("workspace", workspace_id, of_workspace, is_open=True),
    ]
    return [limit for limit in limits if limit.kind is LimitKind.OPEN]


def _own(whose: str, name: str, limits: RequestLimits, *, is_open: bool) -> Iterator[RateLimit]:
    source = f"the {whose}'s limit"
    if limits.requests_per_minute is not None:
        yield RateLimit(LimitKind.RATE, name, limits.requests_per_minute, source)
    if limits.max_concurrent_jobs is not None and is_open:
        yield RateLimit(LimitKind.OPEN, name, limits.max_concurrent_jobs, source)


LOOK_AGAIN_MS = 1_000

_jobs = table(Job)
_keys = table(ApiKey)
_workspaces = table(Workspace)
_IS_SCHEDULED = text("jobs.state = 'scheduled'")  # of the index `ix_jobs_scheduled`, word for word


class _WaitingJob(NamedTuple):
    """A scheduled job, with the limits of open jobs of its key and its workspace."""

    id: str
    api_key_id: str
    workspace_id: str
    of_key: int | None
    of_workspace: int | None


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
class ScheduledJob:
    """A job whose time has come, and what its key and workspace allow at a time."""

    job_id: str
    limits: Sequence[RateLimit]


def find_due_jobs(connection: Connection, now: int) -> list[ScheduledJob]:
    """Return the jobs that are due and may have to wait, oldest first."""
    return [
        ScheduledJob(row.id, _limits(row))
        for row in map(_WaitingJob._make, connection.execute(_COMING, {"now": now}))
    ]


async def find_over_limit(limiter: Limiter, due: Sequence[ScheduledJob], now: int) -> list[str]:
    """Count these jobs as open; return the ids of those that exceed a limit now."""
    full: set[RateLimit] = set()
    waiting = []
    for job in due:
        if full.isdisjoint(job.limits):
            refusal = await limiter.take(job.limits, job.job_id, now)
            if refusal is None:
                continue
            full.add(refusal.limit)
        waiting.append(job.job_id)
    return waiting


def postpone(connection: Connection, job_ids: Sequence[str], now: int) -> None:
    """Let the dispatcher consider these jobs again after LOOK_AGAIN_MS."""
    again_at = now + LOOK_AGAIN_MS
    rows = [{"of_job": job_id, "again_at": again_at} for job_id in sorted(job_ids)]
    if rows:
        connection.execute(_POSTPONE, rows)


def _limits(row: _WaitingJob) -> Sequence[RateLimit]:
    of_key = RequestLimits(max_concurrent_jobs=row.of_key)
    of_workspace = RequestLimits(max_concurrent_jobs=row.of_workspace)
    return open_limits(row.api_key_id, of_key, row.workspace_id, of_workspace)
