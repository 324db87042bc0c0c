"""What is due to be published: jobs whose time has come, batch lines, and messages that were lost.

One column answers all three: `dispatch_at` is when the dispatcher next publishes a waiting job,
unless a worker has claimed it by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update

from broker.lifecycle import Requeued
from broker.queues import Lane
from broker.states import JobState
from broker.submission import REDISPATCH_MS
from broker.tables import Job

DUE_GROUP = 1_000
UNKNOWN_PROVIDER_CALLS = 8  # for jobs of a provider that is configured no longer
FEED_AHEAD = 2  # batch jobs on a provider's queue, as a multiple of the calls it may have in flight

_jobs: Any = Job.__table__  # type: ignore[attr-defined]
_WAITING = (JobState.QUEUED.value, JobState.SCHEDULED.value)
_DUE = (
    select(_jobs.c.id, _jobs.c.provider, _jobs.c.lane, _jobs.c.available_at, _jobs.c.deadline_at)
    .where(
        _jobs.c.state.in_(_WAITING),
        _jobs.c.lane == bindparam("lane"),
        _jobs.c.dispatch_at <= bindparam("now"),
        _jobs.c.deadline_at > bindparam("now"),  # `expire_many` ends the others
    )
    .order_by(_jobs.c.dispatch_at, _jobs.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_FED_PROVIDERS = (
    select(_jobs.c.provider)
    .where(
        _jobs.c.state.in_(_WAITING),
        _jobs.c.lane == Lane.BATCH.value,
        _jobs.c.dispatch_at <= bindparam("now"),
    )
    .distinct()
)
_DUE_AT_PROVIDER = _DUE.where(_jobs.c.provider == bindparam("provider"))
_ON_QUEUES = (
    select(_jobs.c.provider, func.count())
    .where(
        _jobs.c.state == JobState.QUEUED.value,
        _jobs.c.lane == Lane.BATCH.value,
        _jobs.c.dispatch_at > bindparam("now"),
        _jobs.c.available_at <= bindparam("now"),
    )
    .group_by(_jobs.c.provider)
)
_DISPATCHED = (
    update(_jobs)
    # no IN here: SQLAlchemy cannot run it for many rows at once
    .where(_jobs.c.id == bindparam("of_job"), or_(*[_jobs.c.state == state for state in _WAITING]))
    .values(state=JobState.QUEUED.value, dispatch_at=bindparam("again_at"))
)


@dataclass(frozen=True, slots=True)
class Due:
    """A look at what is due; `concurrency` is how many calls each provider may have in flight."""

    now: int
    concurrency: Mapping[str, int]


def dispatch_many(connection: Connection, looks: Sequence[Due]) -> Sequence[list[Requeued]]:
    """Mark due jobs as published and return them for publishing.

    Interactive jobs all go; batch jobs only as far as their provider's queue is shallow, oldest
    first. Who crashes between this and the publishing is covered by the next look.
    """
    return [_dispatch(connection, look) for look in looks]


def _dispatch(connection: Connection, look: Due) -> list[Requeued]:
    wanted = {"lane": Lane.INTERACTIVE.value, "now": look.now, "most": DUE_GROUP}
    chosen = [*connection.execute(_DUE, wanted), *_feed(connection, look)]
    if chosen:
        connection.execute(_DISPATCHED, [_again(row, look.now) for row in chosen])
    return [Requeued(row.id, _queue_of(row, look), row.lane) for row in chosen]


def _queue_of(row: Any, look: Due) -> str:
    """Return whose queue a job goes on.

    A provider that was taken out of the configuration has no consumers: its jobs go where a worker
    finds that out, and moves them on along their plan.
    """
    if row.provider in look.concurrency or not look.concurrency:
        return str(row.provider)
    return next(iter(look.concurrency))


def _feed(connection: Connection, look: Due) -> list[Any]:
    """Choose the batch jobs there is room for: a full provider never holds up another."""
    on_queues = connection.execute(_ON_QUEUES, {"now": look.now})
    waiting: dict[str, int] = {row[0]: row[1] for row in on_queues}
    chosen: list[Any] = []
    for provider in connection.execute(_FED_PROVIDERS, {"now": look.now}).scalars().all():
        calls = look.concurrency.get(provider, UNKNOWN_PROVIDER_CALLS)
        room = min(FEED_AHEAD * calls - waiting.get(provider, 0), DUE_GROUP)
        if room > 0:
            wanted = {"lane": Lane.BATCH.value, "provider": provider, "now": look.now, "most": room}
            chosen += connection.execute(_DUE_AT_PROVIDER, wanted)
    return chosen


def _again(row: Any, now: int) -> dict[str, Any]:
    """A job found waiting is looked at again after as long as it has waited, 15 s at least."""
    patience = max(REDISPATCH_MS, now - row.available_at)
    return {"of_job": row.id, "again_at": min(now + patience, max(row.deadline_at, now + 1))}
