"""List deliveries, and restart them (delivered | exhausted | cancelled → pending)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select, update

from broker.enums import DeliveryState
from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import Delivery, DeliveryAttempt, WebhookEndpoint, columns, table
from broker.webhooks.events import UNDELIVERED

_deliveries = table(Delivery)
_attempts = table(DeliveryAttempt)


class DeliveryRow(NamedTuple):
    """A row of `deliveries` without its payload. Times in Unix milliseconds."""

    id: str
    event_id: str  # the webhook-id
    workspace_id: str
    endpoint_id: str | None
    url: str | None  # of the webhook of a job
    receiver: str
    event_type: str
    subject_id: str
    is_full: bool
    state: DeliveryState  # see `events.DeliveryState`
    attempt: int  # number of the latest attempt
    failures: int
    next_at: int
    dispatch_at: int
    created_at: int
    ended_at: int | None


class AttemptRow(NamedTuple):
    """A row of `delivery_attempts`."""

    delivery_id: str
    number: int
    started_at: int  # Unix milliseconds
    duration_ms: int | None  # None: the worker was lost
    status: int | None  # HTTP
    error: str | None
    body: str | None  # of the answer, truncated


_COLUMNS = columns(DeliveryRow, _deliveries)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """A filter for a list of deliveries; None = any."""

    endpoint_id: str | None = None
    state: DeliveryState | None = None
    event_type: str | None = None
    subject_id: str | None = None  # the job or batch


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A delivery with its payload and its attempts, in order."""

    delivery: DeliveryRow
    payload: bytes  # JSON
    attempts: Sequence[AttemptRow]


class WaitingDeliveries(NamedTuple):
    """The deliveries in a state that has not ended."""

    state: str  # pending or running
    deliveries: int
    oldest_due: int  # Unix ms


def count_waiting(connection: Connection) -> Sequence[WaitingDeliveries]:
    """Return the number of pending and running deliveries, and the earliest due time."""
    states = [DeliveryState.PENDING.value, DeliveryState.RUNNING.value]
    query = (
        select(_deliveries.c.state, func.count(), func.min(_deliveries.c.next_at))
        .where(_deliveries.c.state.in_(states))
        .group_by(_deliveries.c.state)
    )
    return [WaitingDeliveries(*row) for row in connection.execute(query)]


def list_deliveries(
    connection: Connection,
    workspace_id: str,
    limit: int,
    after: str | None = None,
    delivery_filter: DeliveryFilter | None = None,
) -> Sequence[DeliveryRow]:
    """Return a workspace's deliveries, newest first; `after` is the last id seen."""
    query = select(*_COLUMNS).where(_deliveries.c.workspace_id == workspace_id)
    for column, value in _list_conditions(delivery_filter or DeliveryFilter()):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(_deliveries.c.id < after)
    page = query.order_by(_deliveries.c.id.desc()).limit(limit)
    return [DeliveryRow(*row) for row in connection.execute(page)]


def find_delivery(connection: Connection, workspace_id: str, delivery_id: str) -> DeliveryReport:
    """Return a delivery with its payload and attempts. Raises NotFoundError."""
    row = connection.execute(
        select(*_COLUMNS, _deliveries.c.payload).where(
            _deliveries.c.id == delivery_id, _deliveries.c.workspace_id == workspace_id
        )
    ).first()
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id}.")
    query = select(*columns(AttemptRow, _attempts)).where(_attempts.c.delivery_id == delivery_id)
    found = connection.execute(query.order_by(_attempts.c.number))
    attempts = [AttemptRow(*each) for each in found]
    return DeliveryReport(DeliveryRow(*row[:-1]), row.payload, attempts)


def _list_conditions(delivery_filter: DeliveryFilter) -> list[tuple[Any, Any]]:
    return [
        (_deliveries.c.receiver, delivery_filter.endpoint_id),
        (
            _deliveries.c.state,
            None if delivery_filter.state is None else delivery_filter.state.value,
        ),
        (_deliveries.c.event_type, delivery_filter.event_type),
        (_deliveries.c.subject_id, delivery_filter.subject_id),
    ]


_endpoints = table(WebhookEndpoint)
_ENDED = (*UNDELIVERED, DeliveryState.DELIVERED)


@dataclass(frozen=True, slots=True)
class DeliveryReplay:
    """The deliveries to send again: created from `since` on and before `until` (Unix ms)."""

    workspace_id: str
    now: int
    endpoint_id: str | None = None  # None = every receiver
    since: int | None = None
    until: int | None = None
    only_missing: bool = True  # False: also delivered ones


def redeliver(connection: Connection, workspace_id: str, delivery_id: str, now: int) -> DeliveryRow:
    """Restart the schedule of a delivery under the same webhook-id; return its row.

    A delivery whose attempt is running stays as it is. Raises NotFoundError, or ConflictError if
    its endpoint is disabled or deleted.
    """
    row = _lock(connection, workspace_id, delivery_id)
    if row.state == DeliveryState.RUNNING.value:
        return row
    if row.endpoint_id is not None and not _is_open(connection, row.endpoint_id):
        raise ConflictError(
            f"Webhook endpoint {row.endpoint_id} is disabled or deleted: enable it first."
        )
    connection.execute(
        update(_deliveries).where(_deliveries.c.id == row.id).values(_restart_columns(now))
    )
    return _lock(connection, workspace_id, delivery_id)


def _lock(connection: Connection, workspace_id: str, delivery_id: str) -> DeliveryRow:
    """Return a delivery, locked until the commit. Raises NotFoundError."""
    query = select(*_COLUMNS).where(
        _deliveries.c.id == delivery_id, _deliveries.c.workspace_id == workspace_id
    )
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id}.")
    return DeliveryRow(*row)


def _is_open(connection: Connection, endpoint_id: str) -> bool:
    query = select(_endpoints.c.id).where(
        _endpoints.c.id == endpoint_id, _endpoints.c.disabled.is_(False)
    )
    return connection.execute(query).first() is not None


def replay(connection: Connection, selection: DeliveryReplay) -> int:
    """Restart the schedules of these deliveries; return their number."""
    states = UNDELIVERED if selection.only_missing else _ENDED
    usable = select(_endpoints.c.id).where(
        _endpoints.c.workspace_id == selection.workspace_id, _endpoints.c.disabled.is_(False)
    )
    statement = update(_deliveries).where(
        _deliveries.c.workspace_id == selection.workspace_id,
        _deliveries.c.state.in_([state.value for state in states]),
        or_(_deliveries.c.endpoint_id.is_(None), _deliveries.c.endpoint_id.in_(usable)),
    )
    if selection.endpoint_id is not None:
        statement = statement.where(_deliveries.c.receiver == selection.endpoint_id)
    if selection.since is not None:
        statement = statement.where(_deliveries.c.created_at >= selection.since)
    if selection.until is not None:
        statement = statement.where(_deliveries.c.created_at < selection.until)
    return int(connection.execute(statement.values(_restart_columns(selection.now))).rowcount)


def _restart_columns(now: int) -> dict[str, Any]:
    """Return the columns of a delivery at the start of the schedule."""
    return {
        "state": DeliveryState.PENDING.value,
        "failures": 0,
        "next_at": now,
        "dispatch_at": now,
        "ended_at": None,
    }
