"""Read-only questions about deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from broker.errors import NotFoundError
from broker.storage.tables import Delivery, DeliveryAttempt, table
from broker.webhooks.vocabulary import DeliveryState

_deliveries = table(Delivery)
_attempts = table(DeliveryAttempt)
_LISTED = [column for column in _deliveries.c if column.name != "payload"]


@dataclass(frozen=True, slots=True)
class Wanted:
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


def waiting(connection: Connection) -> Sequence[Any]:
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
    wanted: Wanted | None = None,
) -> Sequence[Any]:
    """Return a workspace's deliveries, newest first, without payloads; `after` is the last seen."""
    query = select(*_LISTED).where(_deliveries.c.workspace_id == workspace_id)
    for column, value in _filters(wanted or Wanted()):
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


def _filters(wanted: Wanted) -> list[tuple[Any, Any]]:
    return [
        (_deliveries.c.receiver, wanted.endpoint_id),
        (_deliveries.c.state, None if wanted.state is None else wanted.state.value),
        (_deliveries.c.event_type, wanted.event_type),
        (_deliveries.c.subject_id, wanted.subject_id),
    ]
