"""What is due to be published: shallow for each receiver, so that none fills the queue.

The rest of a receiver's deliveries waits in the database, whoever it is that is slow or dead; who
has delivered one takes the receiver's next (`claims.claim_next_many`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from broker.tables import Delivery, WebhookEndpoint, table
from broker.webhooks.vocabulary import DeliveryState

PUBLISH_AGAIN_MS = 15_000  # what nobody has claimed by then was lost
AT_ONCE = 16  # deliveries to one receiver at the same time, in all workers together
AT_ONCE_FAILING = 2  # … to an endpoint whose latest attempt failed
RECEIVERS_AT_ONCE = 500  # in one question: PostgreSQL takes 65,535 parameters
ENOUGH = 4_000  # deliveries of one look: a transaction keeps other writers waiting

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_NOW: Any = bindparam("now")
_PENDING = _deliveries.c.state == DeliveryState.PENDING.value
_DUE = and_(_PENDING, _deliveries.c.dispatch_at <= _NOW)
_DUE_RECEIVERS = select(_deliveries.c.receiver).where(_DUE).distinct()
_ON_ITS_WAY = or_(
    _deliveries.c.state == DeliveryState.RUNNING.value,
    and_(
        _PENDING,
        _deliveries.c.next_at <= _NOW,
        _deliveries.c.dispatch_at > _NOW,
        _deliveries.c.dispatch_at <= bindparam("again_at"),
    ),
)
_BUSY = (
    select(_deliveries.c.receiver, func.count())
    .where(_deliveries.c.receiver.in_(bindparam("receivers", expanding=True)), _ON_ITS_WAY)
    .group_by(_deliveries.c.receiver)
)
_FAILING = select(_endpoints.c.id).where(
    _endpoints.c.id.in_(bindparam("receivers", expanding=True)),
    _endpoints.c.failing_since.is_not(None),
)
_DUE_TO = (
    select(_deliveries.c.id)
    .where(_DUE, _deliveries.c.receiver == bindparam("receiver"))
    .order_by(_deliveries.c.dispatch_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_PUBLISHED = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(bindparam("ids", expanding=True)), _PENDING)
    .values(dispatch_at=bindparam("again_at"))
)


@dataclass(frozen=True, slots=True)
class DueDeliveries:
    """A look at what is due."""

    now: int


def due_many(connection: Connection, looks: Sequence[DueDeliveries]) -> Sequence[list[str]]:
    """Mark due deliveries as published and return their ids: as many as each receiver may have."""
    return [_due(connection, look.now) for look in looks]


def _due(connection: Connection, now: int) -> list[str]:
    receivers = list(connection.execute(_DUE_RECEIVERS, {"now": now}).scalars())
    random.shuffle(receivers)  # where there are too many for one look, none is always the last
    published: list[str] = []
    for start in range(0, len(receivers), RECEIVERS_AT_ONCE):
        some = receivers[start : start + RECEIVERS_AT_ONCE]
        published += _publish(connection, some, now)
        if len(published) >= ENOUGH:
            break
    return published


def _publish(connection: Connection, receivers: Sequence[str], now: int) -> list[str]:
    """Mark as published what these receivers may have."""
    chosen: list[str] = []
    for receiver, room in _rooms(connection, receivers, now).items():
        if room > 0:
            wanted = {"now": now, "receiver": receiver, "room": room}
            chosen += connection.execute(_DUE_TO, wanted).scalars()
    if chosen:
        connection.execute(_PUBLISHED, {"ids": chosen, "again_at": now + PUBLISH_AGAIN_MS})
    return chosen


def _rooms(connection: Connection, receivers: Sequence[str], now: int) -> dict[str, int]:
    """Return how many more deliveries may go to each receiver."""
    wanted = {"receivers": receivers, "now": now, "again_at": now + PUBLISH_AGAIN_MS}
    busy = {row[0]: row[1] for row in connection.execute(_BUSY, wanted)}
    failing = set(connection.execute(_FAILING, {"receivers": receivers}).scalars())
    return {
        receiver: (AT_ONCE_FAILING if receiver in failing else AT_ONCE) - busy.get(receiver, 0)
        for receiver in receivers
    }
