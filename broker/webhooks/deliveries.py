"""Deliveries listed, and delivered | exhausted | cancelled → pending at their owner's request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import Delivery, DeliveryAttempt, WebhookEndpoint, table
from broker.webhooks.events import MISSING, DeliveryState

_deliveries = table(Delivery)
_attempts = table(DeliveryAttempt)
_LISTED = [column for column in _deliveries.c if column.name != "payload"]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries a list is to have; None = any."""

    endpoint_id: str | None = None
    state: DeliveryState | None = None
    event_type: str | None = None
    subject_id: str | None = None  # the job or batch


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A delivery with its attempts, in order: rows of `deliveries` and `delivery_attempts`."""

    delivery: Any
    attempts: Sequence[Any]


def count_waiting(connection: Connection) -> Sequence[Any]:
    """Return (state, deliveries, the oldest one's due time) of everything not yet ended."""
    states = [DeliveryState.PENDING.value, DeliveryState.RUNNING.value]
    query = (
        select(_deliveries.c.state, func.count(), func.min(_deliveries.c.next_at))
        .where(_deliveries.c.state.in_(states))
        .group_by(_deliveries.c.state)
    )
    return connection.execute(query).all()


def list_deliveries(
    connection: Connection,
    workspace_id: str,
    limit: int,
    after: str | None = None,
    wanted: DeliveryFilter | None = None,
) -> Sequence[Any]:
    """Return a workspace's deliveries, newest first, without payloads; `after` is the last seen."""
    query = select(*_LISTED).where(_deliveries.c.workspace_id == workspace_id)
    for column, value in _filters(wanted or DeliveryFilter()):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(_deliveries.c.id < after)
    return connection.execute(query.order_by(_deliveries.c.id.desc()).limit(limit)).all()


def find_delivery(connection: Connection, workspace_id: str, delivery_id: str) -> DeliveryReport:
    """Return a delivery with its payload and attempts. Raises NotFoundError."""
    row = connection.execute(
        select(_deliveries).where(
            _deliveries.c.id == delivery_id, _deliveries.c.workspace_id == workspace_id
        )
    ).first()
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id}.")
    query = select(_attempts).where(_attempts.c.delivery_id == delivery_id)
    return DeliveryReport(row, connection.execute(query.order_by(_attempts.c.number)).all())


def _filters(wanted: DeliveryFilter) -> list[tuple[Any, Any]]:
    return [
        (_deliveries.c.receiver, wanted.endpoint_id),
        (_deliveries.c.state, None if wanted.state is None else wanted.state.value),
        (_deliveries.c.event_type, wanted.event_type),
        (_deliveries.c.subject_id, wanted.subject_id),
    ]


_endpoints = table(WebhookEndpoint)
_ENDED = (*MISSING, DeliveryState.DELIVERED)


@dataclass(frozen=True, slots=True)
class Redelivery:
    """A wish to send one delivery again, now."""

    workspace_id: str
    delivery_id: str
    now: int


@dataclass(frozen=True, slots=True)
class DeliveryReplay:
    """A wish to send again what was created from `since` on and before `until`."""

    workspace_id: str
    now: int
    endpoint_id: str | None = None  # None = every receiver
    since: int | None = None
    until: int | None = None
    only_missing: bool = True  # else what was delivered, too


def redeliver_many(connection: Connection, wishes: Sequence[Redelivery]) -> Sequence[Any]:
    """Start deliveries anew, under the same webhook-id; return their rows.

    One whose attempt is under way is left alone.
    """
    return [_redeliver(connection, wish) for wish in wishes]


def replay_many(connection: Connection, wishes: Sequence[DeliveryReplay]) -> Sequence[int]:
    """Start all these deliveries anew; return how many."""
    return [_replay(connection, wish) for wish in wishes]


def _redeliver(connection: Connection, wish: Redelivery) -> Any:
    row = _row(connection, wish)
    if row is None:
        return NotFoundError(f"There is no delivery {wish.delivery_id}.")
    if row.state == DeliveryState.RUNNING.value:
        return row
    if row.endpoint_id is not None and not _is_open(connection, row.endpoint_id):
        return ConflictError(
            f"Webhook endpoint {row.endpoint_id} is disabled or deleted: enable it first."
        )
    connection.execute(
        update(_deliveries).where(_deliveries.c.id == row.id).values(_restart_columns(wish.now))
    )
    return _row(connection, wish)


def _row(connection: Connection, wish: Redelivery) -> Any | None:
    query = select(_deliveries).where(
        _deliveries.c.id == wish.delivery_id, _deliveries.c.workspace_id == wish.workspace_id
    )
    return connection.execute(query.with_for_update()).first()


def _is_open(connection: Connection, endpoint_id: str) -> bool:
    query = select(_endpoints.c.id).where(
        _endpoints.c.id == endpoint_id, _endpoints.c.disabled.is_(False)
    )
    return connection.execute(query).first() is not None


def _replay(connection: Connection, wish: DeliveryReplay) -> int:
    states = MISSING if wish.only_missing else _ENDED
    usable = select(_endpoints.c.id).where(
        _endpoints.c.workspace_id == wish.workspace_id, _endpoints.c.disabled.is_(False)
    )
    statement = update(_deliveries).where(
        _deliveries.c.workspace_id == wish.workspace_id,
        _deliveries.c.state.in_([state.value for state in states]),
        or_(_deliveries.c.endpoint_id.is_(None), _deliveries.c.endpoint_id.in_(usable)),
    )
    if wish.endpoint_id is not None:
        statement = statement.where(_deliveries.c.receiver == wish.endpoint_id)
    if wish.since is not None:
        statement = statement.where(_deliveries.c.created_at >= wish.since)
    if wish.until is not None:
        statement = statement.where(_deliveries.c.created_at < wish.until)
    return int(connection.execute(statement.values(_restart_columns(wish.now))).rowcount)


def _restart_columns(now: int) -> dict[str, Any]:
    """The columns of a delivery at the beginning of the schedule."""
    return {
        "state": DeliveryState.PENDING.value,
        "failures": 0,
        "next_at": now,
        "dispatch_at": now,
        "ended_at": None,
    }
