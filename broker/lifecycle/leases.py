"""Leases: their renewal, and the rescue of jobs whose worker was lost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection, and_, bindparam, literal, select

from broker.completion import AttemptOutcome, ErrorType, Failure, Timings
from broker.enums import JobState
from broker.jobs.states import WAITING
from broker.lifecycle.attempt_endings import decide, record_many
from broker.lifecycle.background_answers import MOST_CONTINUATIONS
from broker.lifecycle.claims import Body, JobToRun, build_claimed_job
from broker.lifecycle.ended_jobs import Failed
from broker.lifecycle.retries import Retry
from broker.lifecycle.transitions import apply, change, of_attempt
from broker.queues import Lane, Ready, choose_lane
from broker.storage.frequent_statements import FrequentUpdate
from broker.storage.tables import Attempt, Job, JobPayload, columns, table

RESCUE_GROUP = 500

_jobs = table(Job)
_ANY_LEASE = select(literal(1)).where(_jobs.c.lease_expires_at.is_not(None)).limit(1)
_ANY_WAITING = select(literal(1)).where(_jobs.c.state.in_(WAITING)).limit(1)
_payloads = table(JobPayload)
_attempts = table(Attempt)


class LeasedJob(Protocol):
    """A row of `jobs` under a lease."""

    id: str
    attempt: int
    cancel_requested: bool


class LostJob(JobToRun, Body, LeasedJob, Protocol):
    """A row of `jobs` whose worker was lost, with its body."""

    background: str | None  # JSON: an answer that the provider still makes


_LEASED = (
    select(*columns(LeasedJob, _jobs))
    .where(
        _jobs.c.id.in_(bindparam("ids", expanding=True)),
        _jobs.c.lease_owner == bindparam("owner"),
        _jobs.c.state == JobState.RUNNING.value,
    )
    .order_by(_jobs.c.id)
    .with_for_update()
)
_PUBLISHED = (
    change(JobState.QUEUED)
    .where(
        _jobs.c.lane.in_([lane.value for lane in Lane]),
        _jobs.c.dispatch_at > bindparam("now"),
        _jobs.c.available_at <= bindparam("now"),
    )
    .values(dispatch_at=_jobs.c.available_at)
)
_RENEW = FrequentUpdate(
    of_attempt(change(JobState.RUNNING))
    .where(_jobs.c.lease_owner == bindparam("owner"))
    .values(lease_expires_at=bindparam("expires"))
)


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to a heartbeat."""

    cancelled: Sequence[str]  # jobs whose callers cancelled them
    lost: Sequence[str]  # jobs that now have another attempt


def renew(
    connection: Connection, owner: str, expires_at: int, attempts: Mapping[str, int]
) -> Renewal:
    """Extend the leases of a worker's attempts (numbers by job id), if they are still its own.

    A job that the worker does not name loses its lease.
    """
    found: Iterable[LeasedJob] = connection.execute(
        _LEASED, {"ids": sorted(attempts), "owner": owner}
    )
    held = {row.id: row for row in found if attempts[row.id] == row.attempt}
    lease = {"owner": owner, "expires": expires_at}
    renewed = [{"of_job": row.id, "of_attempt": row.attempt} | lease for row in held.values()]
    apply(connection, _RENEW, renewed)
    return Renewal(
        cancelled=[row.id for row in held.values() if row.cancel_requested],
        lost=[job_id for job_id in attempts if job_id not in held],
    )


def has_open_jobs(connection: Connection) -> bool:
    """Return whether a job has a lease or waits, so that its time can end. Change nothing."""
    found = (connection.execute(query).first() for query in (_ANY_LEASE, _ANY_WAITING))
    return any(row is not None for row in found)


def rescue(connection: Connection, now: int, owner: str | None = None) -> list[Ready]:
    """End the attempts of lost workers; `retries.decide` chooses what follows.

    They are `unknown`, or `interrupted` where the provider goes on and the answer can be fetched.
    These are the attempts of `owner`, a worker that has stopped, or those whose lease expired.
    Returns the jobs that are queued again, at most RESCUE_GROUP: if it returns as many, there may
    be more. The dispatcher publishes them. It also republishes unclaimed jobs, because their
    messages may be lost with the worker.
    """
    lost = _jobs.c.lease_expires_at < now if owner is None else _jobs.c.lease_owner == owner
    rows: Sequence[LostJob] = connection.execute(
        select(*columns(LostJob, _jobs, _payloads, _attempts))
        .join(_payloads, _payloads.c.job_id == _jobs.c.id)
        .outerjoin(
            _attempts,
            and_(_attempts.c.job_id == _jobs.c.id, _attempts.c.number == _jobs.c.attempt),
        )
        .where(_jobs.c.state == JobState.RUNNING.value, lost)
        .order_by(_jobs.c.id)
        .limit(RESCUE_GROUP)
        .with_for_update(of=_jobs, skip_locked=True)
    ).all()
    endings = [_lost_attempt(row, now) for row in rows]
    if endings:
        record_many(connection, endings)
    if endings or owner is not None:
        connection.execute(_PUBLISHED, {"now": now})
    return [
        Ready(end.job.id, end.job.plan[end.decision.position].provider, choose_lane(end.job.lane))
        for end in endings
        if isinstance(end.decision, Retry) and not end.decision.delay
    ]


def _lost_attempt(row: LostJob, now: int) -> Failed:
    job = build_claimed_job(row, row)
    failure = Failure(
        outcome=_choose_outcome(row),
        error_type=ErrorType.WORKER_LOST,
        message="The worker that ran this attempt was lost before it could report.",
    )
    # the endpoint is not at fault: no pause, and the same plan step again
    decision = decide(job, failure, now)
    if isinstance(decision, Retry):
        decision = replace(decision, position=job.position, delay=0.0)
    return Failed(job, now, failure, decision, Timings(duration_ms=0), announced=False)


def _choose_outcome(row: LostJob) -> AttemptOutcome:
    if row.cancel_requested:
        return AttemptOutcome.CANCELLED
    goes_on = row.background is not None
    if goes_on and row.attempt - row.attempts_used < MOST_CONTINUATIONS:
        return AttemptOutcome.INTERRUPTED
    return AttemptOutcome.UNKNOWN
