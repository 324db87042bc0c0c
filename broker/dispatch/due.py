"""Queries for jobs that wait to be published. Indexes keep their cost independent of the backlog.

Jobs outside of flows are found by `dispatch_at`. Jobs in flows are never searched: a query steps
from one provider, and from one flow, to the next in the index `ix_jobs_line`.
"""

from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, func, literal, select, text

from broker.jobs.states import WAITING
from broker.queues import Lane
from broker.storage.tables import Job, columns, table

DUE_GROUP = 1_000

_jobs = table(Job)


class DueJob(Protocol):
    """A row of `jobs` that may be published."""

    id: str
    provider: str
    lane: str
    line: str | None  # its flow
    available_at: int
    deadline_at: int


class FlowHead(Protocol):
    """A flow at a provider, in one lane."""

    flow: str
    earliest: int  # when its first job may be published (Unix ms)
    on_queue: int  # published and not claimed yet


_IS_DUE = (
    _jobs.c.state.in_(WAITING),
    _jobs.c.lane == bindparam("lane"),
    _jobs.c.dispatch_at <= bindparam("now"),
    _jobs.c.deadline_at > bindparam("now"),  # `expire` ends the others
    _jobs.c.line.is_(None),
)
_ANY_DUE = select(literal(1)).where(*_IS_DUE).limit(1)
_ANY_WAITING = (
    select(literal(1))
    .where(_jobs.c.state.in_(WAITING), _jobs.c.lane == bindparam("lane"), _jobs.c.line.is_(None))
    .limit(1)
)
DUE = (
    select(*columns(DueJob, _jobs))
    .where(*_IS_DUE)
    .order_by(_jobs.c.dispatch_at, _jobs.c.id)
    .limit(DUE_GROUP)
    .with_for_update(skip_locked=True)
)
# The condition of the index `ix_jobs_line`, word for word.
_IN_FLOW = text("line IS NOT NULL AND state IN ('queued', 'scheduled')")
_HERE = (_jobs.c.provider == bindparam("provider"), _jobs.c.lane == bindparam("lane"))


def _select_in_flows(*columns_: Any) -> Any:
    """Select jobs in flows, from their index; SQLite needs a hint to use it."""
    query = select(*columns_).with_hint(_jobs, "INDEXED BY ix_jobs_line", "sqlite")
    return query.where(_IN_FLOW)


def _step_through(column: Any, *where: Any) -> Any:
    """Select a column's values after `:after`, by steps to the next greater one."""
    least = _select_in_flows(func.min(column)).where(*where)
    first = least.where(column > bindparam("after")).scalar_subquery()
    found = select(first.label("value")).cte(f"{column.name}s", recursive=True)
    next_ = least.where(column > found.c.value).correlate(found).scalar_subquery()
    return found.union_all(select(next_).where(found.c.value.is_not(None)))


def _build_flow_heads() -> Any:
    found = _step_through(_jobs.c.line, *_HERE)
    flow: Any = found.c.value
    now: Any = bindparam("now")

    def of_flow(value: Any, *where: Any) -> Any:
        query = _select_in_flows(value).where(*_HERE, _jobs.c.line == flow, *where)
        return query.correlate(found).scalar_subquery()

    on_queue = of_flow(
        func.count(),
        _jobs.c.dispatch_at > now,
        _jobs.c.dispatch_at <= bindparam("until"),
        _jobs.c.available_at <= now,
    )
    return (
        select(
            flow.label("flow"),
            of_flow(func.min(_jobs.c.dispatch_at)).label("earliest"),
            on_queue.label("on_queue"),
        )
        .where(flow.is_not(None))
        .limit(bindparam("most"))
    )


_providers: Any = _step_through(_jobs.c.provider)
_PROVIDERS = select(_providers.c.value).where(_providers.c.value.is_not(None))
FLOW_HEADS = _build_flow_heads()
NEXT_IN_FLOW = (
    _select_in_flows(*columns(DueJob, _jobs))
    .where(
        *_HERE,
        _jobs.c.line == bindparam("flow"),
        _jobs.c.dispatch_at <= bindparam("now"),
        _jobs.c.deadline_at > bindparam("now"),
    )
    .order_by(_jobs.c.dispatch_at, _jobs.c.id)
    .limit(bindparam("most"))
    .offset(bindparam("taken"))
    .with_for_update(skip_locked=True)
)


def list_waiting_providers(connection: Connection) -> list[str]:
    """Return the providers at which jobs wait in flows."""
    return list(connection.execute(_PROVIDERS, {"after": ""}).scalars())


def has_due_jobs(connection: Connection, now: int) -> bool:
    """Return whether a job is due, or waits in a flow at its provider. Change nothing."""
    lanes = [{"lane": lane.value, "now": now} for lane in Lane]
    due = any(connection.execute(_ANY_DUE, lane).first() is not None for lane in lanes)
    return due or bool(list_waiting_providers(connection))


def has_waiting_jobs(connection: Connection) -> bool:
    """Return whether a job waits that is due now or later. Change nothing."""
    lanes = [{"lane": lane.value} for lane in Lane]
    waiting = any(connection.execute(_ANY_WAITING, lane).first() is not None for lane in lanes)
    return waiting or bool(list_waiting_providers(connection))
