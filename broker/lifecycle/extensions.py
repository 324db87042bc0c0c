"""A fallback to a dearer endpoint holds more first, or is skipped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection, bindparam, select

from broker.billing import ledger
from broker.billing.funds import FundsCheck, HoldRequest, Payer
from broker.billing.ledger import HeldJob
from broker.completion import Failure
from broker.jobs.states import JobState
from broker.lifecycle.claims import ClaimedJob
from broker.lifecycle.records import decide
from broker.lifecycle.retries import Decision, Retry
from broker.lifecycle.transitions import apply, change, of_attempt
from broker.routing import Plan
from broker.storage.tables import Job, Workspace, columns, table

_jobs = table(Job)
_workspaces = table(Workspace)


class FailingJob(HeldJob, Protocol):
    """A row of `jobs` whose attempt has failed, with what its workspace may spend."""

    attempt: int
    unlimited: bool


_RUNNING = (
    select(*columns(FailingJob, _jobs, _workspaces))
    .join(_workspaces, _workspaces.c.id == _jobs.c.workspace_id)
    .where(
        _jobs.c.id.in_(bindparam("ids", expanding=True)), _jobs.c.state == JobState.RUNNING.value
    )
    .order_by(_jobs.c.id)
    .with_for_update(of=_jobs)
)
_HOLD_MORE = of_attempt(change(JobState.RUNNING)).values(hold_nanos=bindparam("hold"))


@dataclass(frozen=True, slots=True)
class Extension:
    """A running job whose failed attempt is to be followed by one at a dearer endpoint."""

    job: ClaimedJob
    failure: Failure
    decision: Retry
    now: int


def is_dearer(job: ClaimedJob, decision: Decision) -> bool:
    """Tell whether what follows may cost more than is held."""
    if not isinstance(decision, Retry):
        return False
    return _quote(job, decision.position) > _covered(job, job.hold_nanos)


def extend_many(connection: Connection, wishes: Sequence[Extension]) -> Sequence[Decision]:
    """Hold what the next endpoint needs; return what follows now.

    Endpoints that cannot be afforded are skipped. Where none is left, what follows is what would
    have if the plan had ended at the attempt that failed.
    """
    ledger.lock(connection, {wish.job.workspace_id for wish in wishes})  # before jobs, as others do
    found = connection.execute(_RUNNING, {"ids": sorted({wish.job.id for wish in wishes})})
    rows: dict[tuple[str, int], FailingJob] = {(row.id, row.attempt): row for row in found}
    purse = FundsCheck.open(
        connection, map(Payer.of, rows.values()), max(wish.now for wish in wishes)
    )
    decisions: list[Decision] = []
    entries, holds = [], []
    for wish in wishes:
        row = rows.pop((wish.job.id, wish.job.attempt), None)
        if row is None:  # no longer this attempt's: recording it will tell
            decisions.append(wish.decision)
            continue
        place, more = _affordable(wish, row, purse)
        if more:
            entries.append(ledger.extend(row, attempt=row.attempt, nanos=more, now=wish.now))
            of_attempt_ = {"of_job": row.id, "of_attempt": row.attempt}
            holds.append(of_attempt_ | {"hold": row.hold_nanos + more})
        decisions.append(_otherwise(wish) if place is None else _moved(wish.decision, place))
    ledger.append(connection, entries)
    apply(connection, _HOLD_MORE, holds)
    return decisions


def _affordable(wish: Extension, row: FailingJob, purse: FundsCheck) -> tuple[int | None, int]:
    """Return the first place from the wished one on that can be paid for, and what it needs."""
    for place in range(wish.decision.position, len(wish.job.plan)):
        more = max(_quote(wish.job, place) - _covered(wish.job, row.hold_nanos), 0)
        if not more or isinstance(purse.take(Payer.of(row), HoldRequest(more, more)), int):
            return place, more
    return None, 0


def _moved(decision: Retry, place: int) -> Retry:
    return decision if place == decision.position else Retry(place)


def _otherwise(wish: Extension) -> Decision:
    job = wish.job
    tried = Plan(job.plan.steps[: job.position + 1])
    return decide(replace(job, plan=tried), wish.failure, wish.now)


def _covered(job: ClaimedJob, held: int) -> int:
    """Return what the hold stands for: the whole quote of the place that it was accepted for."""
    return max(held, _quote(job, job.position))


def _quote(job: ClaimedJob, place: int) -> int:
    return job.quotes[place] if place < len(job.quotes) else 0
