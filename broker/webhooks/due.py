"""Find deliveries due to be published: few for each receiver, so that none fills the queue.

The rest of a receiver's deliveries waits in the database, whoever it is that is slow or dead; who
has delivered one takes the receiver's next (`claims.claim_next_many`). The workspaces that have
something on its way share the lanes, and one share is always left for a workspace that comes next:
receivers that hang are in the way of their own workspace only.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, WebhookEndpoint, table

PUBLISH_AGAIN_MS = 15_000  # what nobody has claimed by then was lost
AT_ONCE = 16  # deliveries to one receiver at the same time, in all workers together
AT_ONCE_FAILING = 2  # … to an endpoint whose latest attempt failed
SHARED = 384  # deliveries at the same time, of all workspaces; a worker process has more lanes
LEAST_SHARE = 8
RECEIVERS_AT_ONCE = 500  # in one question: PostgreSQL takes 65,535 parameters
ENOUGH = 4_000  # deliveries of one look: a transaction keeps other writers waiting

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_NOW: Any = bindparam("now")
_PENDING = _deliveries.c.state == DeliveryState.PENDING.value
_DUE = and_(_PENDING, _deliveries.c.dispatch_at <= _NOW)
_DUE_RECEIVERS = select(_deliveries.c.workspace_id, _deliveries.c.receiver).where(_DUE).distinct()
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
    select(_deliveries.c.workspace_id, _deliveries.c.receiver, func.count())
    .where(_ON_ITS_WAY)
    .group_by(_deliveries.c.workspace_id, _deliveries.c.receiver)
)
_FAILING = select(_endpoints.c.id).where(
    _endpoints.c.id.in_(bindparam("receivers", expanding=True)),
    _endpoints.c.failing_since.is_not(None),
)
_DUE_TO = (
    select(_deliveries.c.id)
    .where(
        _DUE,
        _deliveries.c.workspace_id == bindparam("workspace"),
        _deliveries.c.receiver == bindparam("receiver"),
    )
    .order_by(_deliveries.c.dispatch_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_PUBLISHED = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(bindparam("ids", expanding=True)), _PENDING)
    .values(dispatch_at=bindparam("again_at"))
)


def publish_due(connection: Connection, now: int) -> list[str]:
    """Mark due deliveries as published, within each receiver's room, and return their ids."""
    found = connection.execute(_DUE_RECEIVERS, {"now": now})
    receivers = [Receiver(*row) for row in found]
    random.shuffle(receivers)  # where there are too many for one look, none is always the last
    room = Room(connection, {each.workspace_id for each in receivers}, now)
    published: list[str] = []
    for start in range(0, len(receivers), RECEIVERS_AT_ONCE):
        some = receivers[start : start + RECEIVERS_AT_ONCE]
        published += _publish(connection, some, room, now)
        if len(published) >= ENOUGH:
            break
    return published


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver to which a workspace has a delivery due."""

    workspace_id: str
    name: str


class Room:
    """The deliveries that may still be published for each receiver and each workspace."""

    def __init__(self, connection: Connection, workspaces: set[str], now: int) -> None:
        wanted = {"now": now, "again_at": now + PUBLISH_AGAIN_MS}
        self._to: Counter[str] = Counter()  # by receiver
        self._of: Counter[str] = Counter()  # by workspace
        for workspace_id, receiver, count in connection.execute(_BUSY, wanted):
            self._to[receiver] += count
            self._of[workspace_id] += count
        sharing = len(workspaces | self._of.keys())
        self._share = max(SHARED // (sharing + 1), LEAST_SHARE)

    def left(self, receiver: Receiver, *, is_failing: bool) -> int:
        """Return how many more may be sent; failing endpoints leave half a share to the others."""
        at_once = AT_ONCE_FAILING if is_failing else AT_ONCE
        share = self._share // 2 if is_failing else self._share
        busy = self._of[receiver.workspace_id]
        return min(at_once - self._to[receiver.name], share - busy)

    def take(self, receiver: Receiver, count: int) -> None:
        """Note that so many more are on their way."""
        self._to[receiver.name] += count
        self._of[receiver.workspace_id] += count


def _publish(
    connection: Connection, receivers: Sequence[Receiver], room: Room, now: int
) -> list[str]:
    """Mark as published what these receivers may have."""
    chosen: list[str] = []
    names = [each.name for each in receivers]
    failing = set(connection.execute(_FAILING, {"receivers": names}).scalars())
    for each in receivers:
        left = room.left(each, is_failing=each.name in failing)
        if left > 0:
            wanted = {
                "now": now,
                "workspace": each.workspace_id,
                "receiver": each.name,
                "room": left,
            }
            found = connection.execute(_DUE_TO, wanted).scalars().all()
            room.take(each, len(found))
            chosen += found
    if chosen:
        connection.execute(_PUBLISHED, {"ids": chosen, "again_at": now + PUBLISH_AGAIN_MS})
    return chosen
