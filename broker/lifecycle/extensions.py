"""Extensions of holds before a fallback to a more expensive endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection, bindparam, select

from broker.billing import ledger
from broker.billing.funds import FundsCheck, Payer
from broker.billing.ledger import HeldJob
from broker.completion import Failure
from broker.enums import JobState
from broker.lifecycle.attempt_endings import decide
from broker.lifecycle.claims import ClaimedJob
from broker.lifecycle.retries import Decision, Retry
from broker.lifecycle.step_costs import StepCosts
from broker.lifecycle.transitions import apply, change, of_attempt
from broker.routing import Plan
from broker.storage.frequent_statements import FrequentUpdate
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
_HOLD_MORE = FrequentUpdate(
    of_attempt(change(JobState.RUNNING)).values(hold_nanos=bindparam("hold"))
)


@dataclass(frozen=True, slots=True)
class Extension:
    """A running job whose failed attempt may be followed by one at a more expensive endpoint."""

    job: ClaimedJob
    failure: Failure
    decision: Retry
    now: int


def needs_extension(job: ClaimedJob, decision: Decision) -> bool:
    """Return whether the next attempt may cost more than the hold."""
    return (
        isinstance(decision, Retry)
        and _build_costs(job, job.hold_nanos).missing(decision.position) > 0
    )


def extend_many(connection: Connection, extensions: Sequence[Extension]) -> Sequence[Decision]:
    """Extend holds for the next endpoints of jobs; return the decisions.

    Plan steps that cannot be paid are skipped. If none is left, the decision is made as if the plan
    had ended with the attempt that failed.
    """
    # workspaces are locked before jobs, as everywhere
    ledger.lock(connection, {each.job.workspace_id for each in extensions})
    found = connection.execute(_RUNNING, {"ids": sorted({each.job.id for each in extensions})})
    rows: dict[tuple[str, int], FailingJob] = {(row.id, row.attempt): row for row in found}
    now = max(each.now for each in extensions)
    funds = FundsCheck.open(connection, map(Payer.of, rows.values()), now)
    decisions: list[Decision] = []
    entries, holds = [], []
    for each in extensions:
        row = rows.pop((each.job.id, each.job.attempt), None)
        if row is None:  # another attempt runs: `record_many` will not find this one either
            decisions.append(each.decision)
            continue
        step, more = _reserve(each, row, funds)
        if more:
            entries.append(ledger.extend(row, attempt=row.attempt, nanos=more, now=each.now))
            hold = row.hold_nanos + more
            holds.append({"of_job": row.id, "of_attempt": row.attempt, "hold": hold})
        decisions.append(_decide_without_fallback(each) if step is None else step)
    ledger.append(connection, entries)
    apply(connection, _HOLD_MORE, holds)
    return decisions


def _reserve(extension: Extension, row: FailingJob, funds: FundsCheck) -> tuple[Retry | None, int]:
    """Return the first retry from the decided plan step on that can be paid, and what it adds."""
    decision = extension.decision
    costs, payer = _build_costs(extension.job, row.hold_nanos), Payer.of(row)
    for position in range(decision.position, len(extension.job.plan)):
        more = costs.reserve(position, payer, funds)
        if more is not None:
            return decision if position == decision.position else Retry(position), more
    return None, 0


def _decide_without_fallback(extension: Extension) -> Decision:
    job = extension.job
    tried = Plan(job.plan.steps[: job.position + 1])
    return decide(replace(job, plan=tried), extension.failure, extension.now)


def _build_costs(job: ClaimedJob, hold_nanos: int) -> StepCosts:
    return StepCosts(job.quotes, job.position, hold_nanos)
