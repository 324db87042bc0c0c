"""Deferrals: a job that cannot be sent now waits (queued → queued, running → queued).

A deferral costs no attempt: the attempt that a claim opened is deleted.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, delete, select

from broker import routing
from broker.billing import ledger
from broker.billing.funds import FundsCheck, Payer
from broker.billing.ledger import HeldJob
from broker.completion import AttemptOutcome, ErrorType
from broker.enums import JobState
from broker.lifecycle.background_answers import find_left_answers
from broker.lifecycle.step_costs import StepCosts
from broker.lifecycle.transitions import apply, change, of_attempt, transition
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.pacing import Busy
from broker.queues import REDISPATCH_MS, Ready, build_flow_name, choose_lane
from broker.routing.waiting import Congestion, StepChoice, choose_step
from broker.storage.frequent_statements import FrequentUpdate
from broker.storage.tables import Attempt, Job, JobPayload, Workspace, columns, table

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)
_workspaces = table(Workspace)
_MOVABLE = (JobState.QUEUED.value, JobState.RUNNING.value)
_IDS: Any = bindparam("ids", expanding=True)

PASSING = frozenset({ErrorType.RATE_LIMIT_EXCEEDED.value, ErrorType.PROVIDER_OVERLOADED.value})
"""Errors after which an endpoint may be tried again a while later."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """A job whose provider is busy."""

    job_id: str
    now: int
    busy: Busy | None  # the reason to wait; None if it only was on the wrong queue
    congestion: Congestion  # all busy providers and endpoints
    attempt: int | None = None  # None for a job that is not claimed


class JobPosition(Protocol):
    """The position of a job in its plan: the columns of `jobs` that a move changes."""

    id: str
    state: JobState
    attempt: int
    position: int


class MovableJob(JobPosition, HeldJob, Protocol):
    """A row of `jobs` with its plan, and with what its workspace may spend."""

    attempts_used: int
    tries_here: int
    lane: str
    batch_id: str | None
    priority: int
    available_at: int
    waiting_since: int | None
    deadline_at: int
    started_at: int | None
    plan: bytes
    quotes: str | None
    unlimited: bool


_FOUND = (
    select(*columns(MovableJob, _jobs, _payloads, _workspaces))
    .join(_payloads, _payloads.c.job_id == _jobs.c.id)
    .join(_workspaces, _workspaces.c.id == _jobs.c.workspace_id)
    .where(_jobs.c.id.in_(_IDS), _jobs.c.state.in_(_MOVABLE), _jobs.c.cancel_requested.is_(False))
)
_LOCKED = (
    select(*columns(JobPosition, _jobs))
    .where(_jobs.c.id.in_(_IDS), _jobs.c.state.in_(_MOVABLE), _jobs.c.cancel_requested.is_(False))
    .order_by(_jobs.c.id)
    .with_for_update()
)
_FAILED = (
    select(_attempts.c.job_id, _attempts.c.provider, _attempts.c.model)
    .where(
        _attempts.c.job_id.in_(_IDS),
        _attempts.c.outcome.in_([AttemptOutcome.REJECTED.value, AttemptOutcome.UNKNOWN.value]),
        _attempts.c.error_type.not_in(PASSING),
    )
    .distinct()
)
_WAIT: dict[str, Any] = {
    name: bindparam(name)
    for name in (
        *("provider", "position", "available_at", "dispatch_at", "line", "hold_nanos"),
        *("waiting_for", "waiting_since"),
        *("attempt", "attempts_used", "tries_here", "started_at"),
    )
} | {"lease_owner": None, "lease_expires_at": None}
_DEFER = FrequentUpdate(of_attempt(change(JobState.QUEUED)).values(_WAIT))
_UNCLAIM = FrequentUpdate(of_attempt(transition(JobState.QUEUED, JobState.RUNNING)).values(_WAIT))
_DELETE_ATTEMPTS = delete(_attempts).where(
    _attempts.c.job_id == bindparam("of_job"), _attempts.c.number == bindparam("of_number")
)


def defer_many(connection: Connection, deferrals: Sequence[Deferral]) -> Sequence[Ready | None]:
    """Let jobs wait for their provider, or move them to a plan step that is free sooner.

    A step that costs more than is held extends the hold; a step that cannot be paid is skipped.
    Returns the jobs that moved to a free endpoint, to be published at once; None for the others.
    """
    ids = sorted({deferral.job_id for deferral in deferrals})
    rows: dict[str, MovableJob] = {row.id: row for row in connection.execute(_FOUND, {"ids": ids})}
    tried = [row.id for row in rows.values() if row.attempt]
    failed, left = _find_failed_endpoints(connection, tried), find_left_answers(connection, tried)
    now = max(deferral.now for deferral in deferrals)
    funds = _load_funds(
        connection, rows.values(), now
    )  # locks workspaces before jobs, as others do
    locked: dict[str, JobPosition] = {
        row.id: row for row in connection.execute(_LOCKED, {"ids": ids})
    }
    results: list[Ready | None] = []
    moves: list[_Move] = []
    for deferral in deferrals:
        row = rows.pop(deferral.job_id, None)
        if row is None or not _applies_to(deferral, row) or _has_moved(row, locked.get(row.id)):
            results.append(None)
            continue
        is_bound = (row.id, row.attempt - (deferral.attempt is not None)) in left
        move = _choose_move(
            *(deferral, row, failed.get(row.id, frozenset()), funds), is_bound=is_bound
        )
        moves.append(move)
        is_free = move.step.at <= deferral.now
        results.append(Ready(row.id, move.provider, choose_lane(row.lane)) if is_free else None)
    _write(connection, moves)
    return results


def _write(connection: Connection, moves: Sequence["_Move"]) -> None:
    if not moves:
        return
    ledger.append(connection, [move.extension() for move in moves if move.more])
    claimed = [move for move in moves if move.deferral.attempt is not None]
    apply(connection, _UNCLAIM, [move.columns() for move in claimed])
    waiting = [move for move in moves if move.deferral.attempt is None]
    apply(connection, _DEFER, [move.columns() for move in waiting])
    if claimed:
        attempts = [{"of_job": each.row.id, "of_number": each.row.attempt} for each in claimed]
        connection.execute(_DELETE_ATTEMPTS, attempts)


@dataclass(frozen=True, slots=True)
class _Move:
    """The plan step that a deferred job goes to, and how many nano-dollars more it holds there."""

    deferral: Deferral
    row: MovableJob
    step: StepChoice
    provider: str
    more: int

    def extension(self) -> ledger.NewEntry:
        """Return the ledger entry that extends the hold.

        No attempt has led to the step, so a negative number that names the step identifies it.
        """
        number = -1 - self.step.position
        return ledger.extend(self.row, attempt=number, nanos=self.more, now=self.deferral.now)

    def columns(self) -> dict[str, Any]:
        row, now, step = self.row, self.deferral.now, self.step
        claimed = self.deferral.attempt is not None
        at = min(step.at, row.deadline_at)
        attempt = row.attempt - claimed
        return {
            "of_job": row.id,
            "of_attempt": row.attempt,
            "provider": self.provider,
            "position": step.position,
            "available_at": at,
            "dispatch_at": at if at > now else now + REDISPATCH_MS,
            "line": build_flow_name(row.workspace_id, row.batch_id, row.priority),
            "hold_nanos": row.hold_nanos + self.more,
            "waiting_for": None if step.busy is None else _encode_wait(step.busy),
            "waiting_since": row.waiting_since or row.available_at,
            "attempt": attempt,
            "attempts_used": row.attempts_used - claimed,
            "tries_here": row.tries_here - claimed if step.position == row.position else 0,
            "started_at": row.started_at if attempt else None,
        }


def _choose_move(
    deferral: Deferral,
    row: MovableJob,
    failed: Collection[EndpointKey],
    funds: FundsCheck,
    *,
    is_bound: bool,
) -> _Move:
    """Choose the soonest plan step that can be paid; the current step always can.

    A job whose answer a provider makes in the background is bound to the current step.
    """
    plan = routing.decode_plan(row.plan)
    costs = StepCosts(orjson.loads(row.quotes or "[]"), row.position, row.hold_nanos)
    payer, congestion = Payer.of(row), _find_congestion(deferral)
    closed = {place for place in range(len(plan)) if is_bound or plan[place].key in failed}
    while True:
        step = choose_step(plan, row.position, congestion, deferral.now, closed)
        more = costs.reserve(step.position, payer, funds)
        if more is not None:
            return _Move(deferral, row, step, plan[step.position].provider, more)
        closed.add(step.position)


def _load_funds(connection: Connection, rows: Iterable[MovableJob], now: int) -> FundsCheck:
    """Load the balances of the workspaces whose jobs may move to a more expensive plan step."""
    expensive = [
        row for row in rows if max(orjson.loads(row.quotes or "[]"), default=0) > row.hold_nanos
    ]
    return FundsCheck.open(connection, map(Payer.of, expensive), now)


def _has_moved(row: MovableJob, locked: JobPosition | None) -> bool:
    """Return whether a job has changed since it was read, before the locks were taken."""
    return locked is None or (row.state, row.attempt, row.position) != (
        *(locked.state, locked.attempt, locked.position),
    )


def _applies_to(deferral: Deferral, row: MovableJob) -> bool:
    if deferral.attempt is None:
        return row.state == JobState.QUEUED.value
    return row.state == JobState.RUNNING.value and row.attempt == deferral.attempt


def _find_congestion(deferral: Deferral) -> Congestion:
    """Return the known congestion, including the reason for the deferral."""
    busy, known = deferral.busy, deferral.congestion
    if busy is None:
        return Congestion()
    if busy.model is None:
        return replace(known, providers={**known.providers, busy.provider: busy})
    return replace(known, endpoints={**known.endpoints, (busy.provider, busy.model): busy})


def _find_failed_endpoints(
    connection: Connection, ids: Collection[str]
) -> dict[str, set[EndpointKey]]:
    """Return by job the endpoints at which its attempts have failed."""
    found: dict[str, set[EndpointKey]] = {}
    if ids:
        for row in connection.execute(_FAILED, {"ids": list(ids)}):
            found.setdefault(row.job_id, set()).add((row.provider, row.model))
    return found


def _encode_wait(busy: Busy) -> str:
    """Return the JSON of `jobs.waiting_for`: the reason, provider, model and time of the wait."""
    reason = {"reason": busy.cause.value, "provider": busy.provider, "until": busy.until}
    return orjson.dumps(reason | ({"model": busy.model} if busy.model else {})).decode()
