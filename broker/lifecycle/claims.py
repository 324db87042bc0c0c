"""Claim jobs under a lease (queued → running), with a new attempt for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, case, insert, select

from broker import routing
from broker.completion import BackgroundAnswer
from broker.enums import JobState, OnUnknown
from broker.lifecycle.background_answers import (
    LeftAnswer,
    choose_answer,
    encode,
    find_left_answers,
)
from broker.lifecycle.transitions import UNCLAIMED, apply, of_job, transition
from broker.providers.endpoints import Endpoint
from broker.requests.operations import Operation
from broker.routing import Plan
from broker.storage.frequent_statements import (
    FrequentInsert,
    FrequentQuery,
    FrequentUpdate,
    pipeline,
)
from broker.storage.tables import Attempt, Job, JobPayload, columns, table
from broker.storage.text_lists import among

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's request to run a job now."""

    job_id: str
    owner: str  # the worker process
    now: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job under a lease: all that an attempt needs."""

    id: str
    workspace_id: str
    operation: Operation
    model: str
    lane: str
    stream: bool
    position: int
    attempt: int
    attempts_used: int
    tries_here: int
    max_attempts: int
    on_unknown: OnUnknown
    deadline_at: int
    hold_nanos: int
    created_at: int
    request: bytes
    plan: Plan
    quotes: Sequence[int] = ()  # the hold of each plan step
    ocr_nanos: int = 0  # what OCR of its documents has cost so far
    queued_ms: int = 0  # from becoming available to being claimed
    background: BackgroundAnswer | None = None  # begun by the attempt before, and to be fetched

    @property
    def endpoint(self) -> Endpoint:
        return self.plan[self.position]


class JobToRun(Protocol):
    """A row of `jobs` with all that an attempt needs of it."""

    id: str
    workspace_id: str
    operation: Operation
    model: str
    lane: str
    stream: bool
    position: int
    attempt: int
    attempts_used: int
    tries_here: int
    max_attempts: int
    on_unknown: OnUnknown
    deadline_at: int
    hold_nanos: int
    ocr_nanos: int
    created_at: int
    available_at: int
    waiting_since: int | None


class Body(Protocol):
    """A row of `job_payloads` with all that an attempt needs of it."""

    job_id: str
    request: bytes
    plan: bytes
    quotes: str | None


def _claim_statement() -> Any:
    return (
        transition(JobState.RUNNING, JobState.QUEUED)
        .where(
            among(_jobs.c.id, "ids"),
            _jobs.c.available_at <= bindparam("now"),
            _jobs.c.deadline_at > bindparam("now"),
        )
        .values(
            attempt=_jobs.c.attempt + 1,
            attempts_used=_jobs.c.attempts_used + 1,
            tries_here=_jobs.c.tries_here + 1,
            lease_owner=bindparam("owner"),
            lease_expires_at=bindparam("lease_expires"),
            started_at=case(
                (_jobs.c.started_at.is_(None), bindparam("now")), else_=_jobs.c.started_at
            ),
        )
        .returning(*columns(JobToRun, _jobs))
    )


_CLAIM = FrequentQuery[JobToRun](_claim_statement())
_PUBLISH = FrequentUpdate(
    of_job(transition(JobState.QUEUED, *UNCLAIMED)).values(dispatch_at=bindparam("again_at"))
)
_QUEUE_SCHEDULED = transition(JobState.QUEUED, JobState.SCHEDULED).where(among(_jobs.c.id, "ids"))
_BODIES = FrequentQuery[Body](
    select(*columns(Body, _payloads)).where(among(_payloads.c.job_id, "ids"))
)
_INSERT_ATTEMPTS = FrequentInsert(
    insert(_attempts),
    (
        *("job_id", "number", "provider", "model", "credential_id", "worker"),
        *("queued_ms", "started_at", "background"),
    ),
)


def mark_published(connection: Connection, again_at: Mapping[str, int]) -> None:
    """Queue waiting jobs, which the caller has locked and is about to publish.

    `again_at` is by job id: when the dispatcher publishes the job again unless it has been claimed
    by then (Unix milliseconds).
    """
    apply(
        connection,
        _PUBLISH,
        [{"of_job": job_id, "again_at": at} for job_id, at in again_at.items()],
    )


def claim_many(connection: Connection, claims: Sequence[Claim]) -> Sequence[ClaimedJob | None]:
    """Claim jobs that are queued and due, with a new attempt for each; None for others.

    All claims of a call come from one worker process.
    """
    first, ids = claims[0], [claim.job_id for claim in claims]
    now = max(claim.now for claim in claims)
    lease = {"owner": first.owner, "lease_expires": now + first.lease_ms}
    with pipeline(connection):
        read_jobs = _CLAIM.send(connection, {"ids": ids, "now": now} | lease)
        read_bodies = _BODIES.send(connection, {"ids": ids})
        rows = read_jobs()
        bodies = {body.job_id: body for body in read_bodies()}
        left = find_left_answers(connection, [row.id for row in rows if row.attempt > 1])
        claimed = {
            row.id: build_claimed_job(
                *(row, bodies[row.id], left.get((row.id, row.attempt - 1))),
                queued_ms=_queued_ms(row, now),
            )
            for row in rows
        }
        attempts = [_attempt(claimed[row.id], first.owner, now) for row in rows]
        _INSERT_ATTEMPTS.run(connection, attempts)
    # a doubled id in one group is answered once: popping leaves the second with None
    return [claimed.pop(claim.job_id, None) for claim in claims]


def claim_waiting(connection: Connection, claims: Sequence[Claim]) -> list[ClaimedJob]:
    """Claim those of these jobs that wait, also the scheduled ones; all claims have one owner."""
    connection.execute(_QUEUE_SCHEDULED, {"ids": [claim.job_id for claim in claims]})
    return [job for job in claim_many(connection, claims) if job is not None]


def build_claimed_job(
    row: JobToRun, body: Body, left: LeftAnswer | None = None, *, queued_ms: int = 0
) -> ClaimedJob:
    """Return a job with all that its attempt needs; `left` is what the attempt before has left."""
    plan = routing.decode_plan(body.plan)
    return ClaimedJob(
        id=row.id,
        workspace_id=row.workspace_id,
        operation=Operation(row.operation),
        model=row.model,
        lane=row.lane,
        stream=row.stream,
        position=row.position,
        attempt=row.attempt,
        attempts_used=row.attempts_used,
        tries_here=row.tries_here,
        max_attempts=row.max_attempts,
        on_unknown=OnUnknown(row.on_unknown),
        deadline_at=row.deadline_at,
        hold_nanos=row.hold_nanos,
        ocr_nanos=row.ocr_nanos,
        created_at=row.created_at,
        request=body.request,
        plan=plan,
        quotes=orjson.loads(body.quotes or "[]"),
        queued_ms=queued_ms,
        background=choose_answer(left, plan[row.position]),
    )


def _queued_ms(row: JobToRun, now: int) -> int:
    """Return how long the job was ready to run, deferrals included (`waiting_since`)."""
    since = row.available_at if row.waiting_since is None else row.waiting_since
    return max(now - since, 0)


def _attempt(job: ClaimedJob, owner: str, now: int) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "number": job.attempt,
        "provider": job.endpoint.provider,
        "model": job.endpoint.model,
        "credential_id": job.endpoint.credential,
        "worker": owner,
        "queued_ms": job.queued_ms,
        "started_at": now,
        "background": None if job.background is None else encode(job.background),
    }
