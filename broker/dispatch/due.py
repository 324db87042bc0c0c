"""Queries for jobs that wait to be published. Indexes keep their cost independent of the backlog.

Jobs in no line are found by `dispatch_at`. Those in line are never searched: from one provider, and
one line, to the next is a step in the index `ix_jobs_line`.
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
    line: str | None
    available_at: int
    deadline_at: int


class Head(Protocol):
    """A line at a provider, in one lane."""

    line: str
    earliest: int  # when the first of it may be published
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
_IN_LINE = text("line IS NOT NULL AND state IN ('queued', 'scheduled')")
_HERE = (_jobs.c.provider == bindparam("provider"), _jobs.c.lane == bindparam("lane"))


def _in_line(*columns_: Any) -> Any:
    """Select jobs in flows, from their index; SQLite needs a hint to use it."""
    query = select(*columns_).with_hint(_jobs, "INDEXED BY ix_jobs_line", "sqlite")
    return query.where(_IN_LINE)


def _distinct(column: Any, *where: Any) -> Any:
    """Step through a column's values after `:after`, from one to the next greater one."""
    least = _in_line(func.min(column)).where(*where)
    first = least.where(column > bindparam("after")).scalar_subquery()
    found = select(first.label("value")).cte(f"{column.name}s", recursive=True)
    next_ = least.where(column > found.c.value).correlate(found).scalar_subquery()
    return found.union_all(select(next_).where(found.c.value.is_not(None)))


def _heads_statement() -> Any:
    found = _distinct(_jobs.c.line, *_HERE)
    line: Any = found.c.value
    now: Any = bindparam("now")

    def of_line(fact: Any, *where: Any) -> Any:
        query = _in_line(fact).where(*_HERE, _jobs.c.line == line, *where)
        return query.correlate(found).scalar_subquery()

    on_queue = of_line(
        func.count(),
        _jobs.c.dispatch_at > now,
        _jobs.c.dispatch_at <= bindparam("until"),
        _jobs.c.available_at <= now,
    )
    return (
        select(
            line.label("line"),
            of_line(func.min(_jobs.c.dispatch_at)).label("earliest"),
            on_queue.label("on_queue"),
        )
        .where(line.is_not(None))
        .limit(bindparam("most"))
    )


_providers: Any = _distinct(_jobs.c.provider)
_PROVIDERS = select(_providers.c.value).where(_providers.c.value.is_not(None))
HEADS = _heads_statement()
NEXT_IN_LINE = (
    _in_line(*columns(DueJob, _jobs))
    .where(
        *_HERE,
        _jobs.c.line == bindparam("line"),
        _jobs.c.dispatch_at <= bindparam("now"),
        _jobs.c.deadline_at > bindparam("now"),
    )
    .order_by(_jobs.c.dispatch_at, _jobs.c.id)
    .limit(bindparam("most"))
    .offset(bindparam("taken"))
    .with_for_update(skip_locked=True)
)


def waiting_providers(connection: Connection) -> list[str]:
    """Return the providers at which something waits in line."""
    return list(connection.execute(_PROVIDERS, {"after": ""}).scalars())


def has_due_jobs(connection: Connection, now: int) -> bool:
    """Return whether a job is due, or waits in line at its provider. Change nothing."""
    lanes = [{"lane": lane.value, "now": now} for lane in Lane]
    due = any(connection.execute(_ANY_DUE, lane).first() is not None for lane in lanes)
    return due or bool(waiting_providers(connection))


def has_waiting_jobs(connection: Connection) -> bool:
    """Return whether a job waits that is due now or later. Change nothing."""
    lanes = [{"lane": lane.value} for lane in Lane]
    waiting = any(connection.execute(_ANY_WAITING, lane).first() is not None for lane in lanes)
    return waiting or bool(waiting_providers(connection))
