"""Take the next step of a native batch under a lease; delete old native batches."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from broker.enums import JobState, NativeBatchState
from broker.jobs.states import WAITING
from broker.queues import NATIVE_LANE
from broker.requests.operations import Operation
from broker.storage.frequent_statements import FrequentQuery
from broker.storage.tables import Job, NativeBatch, NativeLine, columns, table

_jobs = table(Job)
_batches = table(NativeBatch)


class NativeBatchRow(NamedTuple):
    """A row of `native_batches` under a lease. Times are Unix milliseconds."""

    id: str
    provider: str
    native_model: str
    operation: Operation
    state: NativeBatchState
    lines: int  # its jobs
    upstream_id: str | None  # the provider's id for it
    input_file_id: str | None
    guessed: bool  # it was found without our marker and may be another's
    create_sent_at: int | None
    completed: int  # lines with an answer, by the provider's count
    failed: int
    polls: int  # successive polls without an end
    next_poll_at: int
    give_up_at: int  # open jobs leave the batch then
    cancel_sent: bool
    lease_owner: str
    lease_expires_at: int
    error: str | None
    created_at: int
    ended_at: int | None


_COLUMNS = columns(NativeBatchRow, _batches)

_CALLED_OFF = select(_jobs.c.lease_owner).where(
    _jobs.c.state == JobState.RUNNING,
    _jobs.c.lane == NATIVE_LANE,
    _jobs.c.cancel_requested,
)


RELEASED: Mapping[str, None] = {"lease_owner": None, "lease_expires_at": None}
"""The columns of a batch whose lease is given back."""

OPEN = tuple(state for state in NativeBatchState if state is not NativeBatchState.ENDED)


class Glance(Protocol):
    """The work that is due, read without writing."""

    @property
    def waiting(self) -> bool: ...  # jobs wait to be collected
    @property
    def due(self) -> int: ...  # batches whose next step is due
    @property
    def called_off(self) -> bool: ...  # jobs in batches whose callers wait for their end
    @property
    def later(self) -> bool: ...  # a job waits or a batch is open, so time alone can create work


def _is_free(now: Any) -> tuple[ColumnElement[bool], ...]:
    free = or_(_batches.c.lease_expires_at.is_(None), _batches.c.lease_expires_at < now)
    return _batches.c.next_poll_at <= now, free


def _build_glance() -> Select[Any]:
    now: Any = bindparam("now")
    waits = or_(*[_jobs.c.state == state for state in WAITING])
    is_open = or_(*[_batches.c.state == state for state in OPEN])
    waiting = select(_jobs.c.id).where(waits, _jobs.c.lane == NATIVE_LANE)
    due = select(func.count()).where(is_open, *_is_free(now))
    return select(
        waiting.where(_jobs.c.available_at <= now).exists().label("waiting"),
        due.scalar_subquery().label("due"),
        _CALLED_OFF.exists().label("called_off"),
        or_(waiting.exists(), select(_batches.c.id).where(is_open).exists()).label("later"),
    )


_GLANCE = FrequentQuery[Glance](_build_glance())


def glance(connection: Connection, now: int) -> Glance:
    """Return the work that is due."""
    [found] = _GLANCE.all(connection, {"now": now})
    return found


def hurry(connection: Connection, now: int) -> int:
    """Make the next step due of batches that hold cancelled jobs; return how many there were."""
    late = (_batches.c.state.in_(OPEN), _batches.c.next_poll_at > now)
    hurried = connection.execute(
        update(_batches).where(*late, _batches.c.id.in_(_CALLED_OFF)).values(next_poll_at=now)
    )
    return hurried.rowcount


def take_batch(
    connection: Connection, owner: str, now: int, lease_ms: int
) -> NativeBatchRow | None:
    """Lease a batch whose next step is due to `owner` and return it; None if none is due."""
    found = connection.execute(
        select(_batches.c.id)
        .where(_batches.c.state.in_(OPEN), *_is_free(now))
        .order_by(_batches.c.next_poll_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if found is None:
        return None
    row = connection.execute(
        update(_batches)
        .where(_batches.c.id == found)
        .values(lease_owner=owner, lease_expires_at=now + lease_ms)
        .returning(*_COLUMNS)
    ).one()
    return NativeBatchRow(*row)


def save_batch(
    connection: Connection, batch_id: str, owner: str, columns: Mapping[str, Any]
) -> bool:
    """Set columns of a batch. Return False if `owner` has lost its lease."""
    written = connection.execute(
        update(_batches)
        .where(_batches.c.id == batch_id, _batches.c.lease_owner == owner)
        .values(**columns)
    )
    return bool(written.rowcount)


KEEP_MS = 30 * 86_400_000
"""Longer than the search for a batch whose creation got no answer: it excludes stored batches."""
GROUP = 20  # batches deleted in one transaction, with their lines

_lines = table(NativeLine)


def delete_old(connection: Connection, now: int) -> bool:
    """Delete a group of batches that ended KEEP_MS ago or earlier; True if there may be more."""
    over = select(_batches.c.id).where(
        _batches.c.state == NativeBatchState.ENDED, _batches.c.ended_at <= now - KEEP_MS
    )
    ids = connection.execute(over.limit(GROUP)).scalars().all()
    connection.execute(delete(_lines).where(_lines.c.native_batch_id.in_(ids)))
    connection.execute(delete(_batches).where(_batches.c.id.in_(ids)))
    return len(ids) == GROUP
