"""Signs of life, and what becomes of jobs whose worker gives none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from broker.completion import AttemptOutcome, ErrorType, Failure, Timings
from broker.lifecycle.claims import claimed_job
from broker.lifecycle.records import Failed, decide, record_many
from broker.retries import Retry
from broker.states import JobState
from broker.tables import Job, JobPayload

RESCUE_GROUP = 500

_jobs: Any = Job.__table__  # type: ignore[attr-defined]
_payloads: Any = JobPayload.__table__  # type: ignore[attr-defined]

_RENEW = (
    update(_jobs)
    .where(
        _jobs.c.id.in_(bindparam("ids", expanding=True)),
        _jobs.c.lease_owner == bindparam("owner"),
        _jobs.c.state == JobState.RUNNING.value,
    )
    .values(lease_expires_at=bindparam("expires"))
)
_CALLED_OFF = select(_jobs.c.id).where(
    _jobs.c.id.in_(bindparam("ids", expanding=True)),
    _jobs.c.state == JobState.RUNNING.value,
    _jobs.c.cancel_requested,
)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's sign of life for the jobs it runs: what it dropped keeps its lease no longer."""

    owner: str
    expires_at: int
    job_ids: Sequence[str]


def renew_many(connection: Connection, beats: Sequence[Heartbeat]) -> Sequence[list[str]]:
    """Extend the leases of these jobs; return which of them the callers called off."""
    results = []
    for beat in beats:
        ids = sorted(beat.job_ids)
        connection.execute(_RENEW, {"ids": ids, "owner": beat.owner, "expires": beat.expires_at})
        called_off = connection.execute(_CALLED_OFF, {"ids": ids})
        results.append([row.id for row in called_off])
    return results


@dataclass(frozen=True, slots=True)
class Requeued:
    """A job that is to be published again."""

    job_id: str
    provider: str
    lane: str


@dataclass(frozen=True, slots=True)
class Rescue:
    """A look for jobs whose worker fell silent; `owner` names a worker known to be dead."""

    now: int
    owner: str | None = None


def rescue_many(connection: Connection, rescues: Sequence[Rescue]) -> Sequence[list[Requeued]]:
    """End the attempts of lost workers as `unknown` and let `retries.decide` say what follows.

    Returns the jobs that are queued again; the dispatcher publishes them. At most RESCUE_GROUP jobs
    are looked at: as many as that mean there may be more.
    """
    return [_rescue(connection, rescue) for rescue in rescues]


def _rescue(connection: Connection, rescue: Rescue) -> list[Requeued]:
    lost = (
        _jobs.c.lease_expires_at < rescue.now
        if rescue.owner is None
        else _jobs.c.lease_owner == rescue.owner
    )
    rows = connection.execute(
        select(_jobs, _payloads.c.request, _payloads.c.plan)
        .join(_payloads, _payloads.c.job_id == _jobs.c.id)
        .where(_jobs.c.state == JobState.RUNNING.value, lost)
        .order_by(_jobs.c.id)
        .limit(RESCUE_GROUP)
        .with_for_update(of=_jobs, skip_locked=True)
    ).all()
    endings = [_lost_attempt(row, rescue.now) for row in rows]
    if endings:
        record_many(connection, endings)
    return [
        Requeued(end.job.id, end.job.plan[end.decision.position].provider, end.job.lane)
        for end in endings
        if isinstance(end.decision, Retry) and not end.decision.delay
    ]


def _lost_attempt(row: Any, now: int) -> Failed:
    job = claimed_job(row, row)
    failure = Failure(
        outcome=AttemptOutcome.CANCELLED if row.cancel_requested else AttemptOutcome.UNKNOWN,
        error_type=ErrorType.PROVIDER_UNAVAILABLE,
        message="The worker that ran this attempt was lost before it could report.",
    )
    # the endpoint is not to blame: no pause, and the same place again
    decision = decide(job, failure, now)
    if isinstance(decision, Retry):
        decision = replace(decision, position=job.position, delay=0.0)
    return Failed(job, now, failure, decision, Timings(duration_ms=0), announced=False)
