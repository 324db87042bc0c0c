"""queued → queued, running → queued: a job that cannot be sent now waits, at no cost to it.

No attempt is spent and none stays on record: a claim that came to nothing is taken back whole.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, delete, select

from broker import routing
from broker.billing import ledger
from broker.billing.funds import FundsCheck, HoldRequest, Payer
from broker.billing.ledger import HeldJob
from broker.completion import AttemptOutcome, ErrorType
from broker.jobs.states import JobState
from broker.lifecycle.transitions import apply, change, of_attempt, transition
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.pacing import Busy
from broker.queues import REDISPATCH_MS, Ready, flow_of, ordinary
from broker.routing.waiting import Congestion, StepChoice, best_step
from broker.storage.tables import Attempt, Job, JobPayload, Workspace, columns, table

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)
_workspaces = table(Workspace)
_MOVABLE = (JobState.QUEUED.value, JobState.RUNNING.value)
_IDS: Any = bindparam("ids", expanding=True)

PASSING = frozenset({ErrorType.RATE_LIMIT_EXCEEDED.value, ErrorType.PROVIDER_OVERLOADED.value})
"""Failures that say nothing about an endpoint a while later."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """A job that found its provider busy; `attempt` where it had been claimed already."""

    job_id: str
    now: int
    busy: Busy | None  # what turned it away; None where it only came to the wrong queue
    congestion: Congestion
    attempt: int | None = None


class JobPosition(Protocol):
    """Where a job stands: a row of `jobs` with whatever a move changes first."""

    id: str
    state: str
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
_DEFER = of_attempt(change(JobState.QUEUED)).values(_WAIT)
_UNCLAIM = of_attempt(transition(JobState.QUEUED, JobState.RUNNING)).values(_WAIT)
_TAKE_BACK = delete(_attempts).where(
    _attempts.c.job_id == bindparam("of_job"), _attempts.c.number == bindparam("of_number")
)


def defer_many(connection: Connection, wishes: Sequence[Deferral]) -> Sequence[Ready | None]:
    """Let jobs wait for their provider, or move them on to an endpoint that is free sooner.

    A dearer endpoint holds more first, or is no choice. Returns what is to be published at once:
    jobs that moved to a free endpoint.
    """
    ids = sorted({wish.job_id for wish in wishes})
    rows: dict[str, MovableJob] = {row.id: row for row in connection.execute(_FOUND, {"ids": ids})}
    failed = _failed(connection, [row.id for row in rows.values() if row.attempt])
    purse = _funds(connection, rows.values(), wishes)  # locks workspaces before jobs, as others do
    locked: dict[str, JobPosition] = {
        row.id: row for row in connection.execute(_LOCKED, {"ids": ids})
    }
    results: list[Ready | None] = []
    moves: list[_Move] = []
    for wish in wishes:
        row = rows.pop(wish.job_id, None)
        if row is None or not _is_of(wish, row) or not _unmoved(row, locked.get(row.id)):
            results.append(None)
            continue
        move = _move(wish, row, failed.get(row.id, frozenset()), purse)
        moves.append(move)
        goes_now = move.place.at <= wish.now
        results.append(Ready(row.id, move.provider, ordinary(row.lane)) if goes_now else None)
    _write(connection, moves)
    return results


def _write(connection: Connection, moves: Sequence["_Move"]) -> None:
    if not moves:
        return
    ledger.append(connection, [move.extension() for move in moves if move.more])
    claimed = [move for move in moves if move.wish.attempt is not None]
    apply(connection, _UNCLAIM, [move.columns() for move in claimed])
    waiting = [move for move in moves if move.wish.attempt is None]
    apply(connection, _DEFER, [move.columns() for move in waiting])
    if claimed:
        back = [{"of_job": move.row.id, "of_number": move.wish.attempt} for move in claimed]
        connection.execute(_TAKE_BACK, back)


@dataclass(frozen=True, slots=True)
class _Move:
    """Where a job goes, and what more it holds for that."""

    wish: Deferral
    row: MovableJob
    place: StepChoice
    provider: str
    more: int

    def extension(self) -> ledger.NewEntry:
        """Hold more for a place; no attempt has led there, so the place numbers the entry."""
        number = -1 - self.place.position
        return ledger.extend(self.row, attempt=number, nanos=self.more, now=self.wish.now)

    def columns(self) -> dict[str, Any]:
        row, now, place = self.row, self.wish.now, self.place
        claimed = self.wish.attempt is not None
        at = min(place.at, row.deadline_at)
        attempt = row.attempt - claimed
        return {
            "of_job": row.id,
            "of_attempt": row.attempt,
            "provider": self.provider,
            "position": place.position,
            "available_at": at,
            "dispatch_at": at if at > now else now + REDISPATCH_MS,
            "line": flow_of(row.workspace_id, row.batch_id, row.priority),
            "hold_nanos": row.hold_nanos + self.more,
            "waiting_for": None if place.busy is None else _told(place.busy),
            "waiting_since": row.waiting_since or row.available_at,
            "attempt": attempt,
            "attempts_used": row.attempts_used - claimed,
            "tries_here": row.tries_here - claimed if place.position == row.position else 0,
            "started_at": row.started_at if attempt else None,
        }


def _move(
    wish: Deferral, row: MovableJob, failed: Collection[EndpointKey], purse: FundsCheck
) -> _Move:
    """Choose the soonest place that can be paid for."""
    plan = routing.decode(row.plan)
    quotes: list[int] = orjson.loads(row.quotes or "[]")
    closed = {place for place in range(len(plan)) if plan[place].key in failed}
    while True:
        place = best_step(plan, row.position, _known(wish), wish.now, closed)
        quote = quotes[place.position] if place.position < len(quotes) else 0
        here = quotes[row.position] if row.position < len(quotes) else 0
        more = max(quote - max(row.hold_nanos, here), 0)
        is_here = place.position == row.position
        if (
            is_here
            or not more
            or isinstance(purse.take(Payer.of(row), HoldRequest(more, more)), int)
        ):
            more = 0 if is_here else more
            return _Move(wish, row, place, plan[place.position].provider, more)
        closed.add(place.position)


def _funds(
    connection: Connection, rows: Iterable[MovableJob], wishes: Sequence[Deferral]
) -> FundsCheck:
    """Open the purses of those whose jobs may move to a dearer place."""
    dearer = [
        row for row in rows if max(orjson.loads(row.quotes or "[]"), default=0) > row.hold_nanos
    ]
    return FundsCheck.open(connection, map(Payer.of, dearer), max(wish.now for wish in wishes))


def _unmoved(row: MovableJob, locked: JobPosition | None) -> bool:
    """Tell whether a row is still as it was read before the locks were taken."""
    return locked is not None and (row.state, row.attempt, row.position) == (
        *(locked.state, locked.attempt, locked.position),
    )


def _is_of(wish: Deferral, row: MovableJob) -> bool:
    if wish.attempt is None:
        return row.state == JobState.QUEUED.value
    return row.state == JobState.RUNNING.value and row.attempt == wish.attempt


def _known(wish: Deferral) -> Congestion:
    """All that is known to be busy, what turned this job away included."""
    busy, known = wish.busy, wish.congestion
    if busy is None:
        return Congestion()
    if busy.model is None:
        return replace(known, providers={**known.providers, busy.provider: busy})
    return replace(known, endpoints={**known.endpoints, (busy.provider, busy.model): busy})


def _failed(connection: Connection, ids: Collection[str]) -> dict[str, set[EndpointKey]]:
    """Return the endpoints that have let these jobs down, by job."""
    found: dict[str, set[EndpointKey]] = {}
    if ids:
        for row in connection.execute(_FAILED, {"ids": list(ids)}):
            found.setdefault(row.job_id, set()).add((row.provider, row.model))
    return found


def _told(busy: Busy) -> str:
    """What the job waits for, as it is shown to its owner: JSON."""
    told = {"reason": busy.cause.value, "provider": busy.provider, "until": busy.until}
    return orjson.dumps(told | ({"model": busy.model} if busy.model else {})).decode()
