"""Publish due deliveries, a few for each receiver, so that no receiver fills the queue.

The other deliveries of a receiver wait in the database. A lane that delivered one claims the next
of its receiver (`claims.claim_next_many`). Workspaces with deliveries in flight share the lanes,
and one share stays free for another workspace. So a slow receiver delays only its own workspace.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, literal, or_, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, WebhookEndpoint, table

REPUBLISH_MS = 15_000  # an unclaimed delivery is published again after this
MAX_CONCURRENT = 16  # deliveries to one receiver at the same time, in all workers together
MAX_CONCURRENT_FAILING = 2  # … to an endpoint whose latest attempt failed
MAX_CONCURRENT_TOTAL = 384  # of all workspaces; a worker process has more lanes
MIN_SHARE = 8
RECEIVERS_PER_QUERY = 500  # PostgreSQL allows 65,535 parameters
MAX_PUBLISHED = 4_000  # in one transaction, which blocks other writers

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_NOW: Any = bindparam("now")
_PENDING = _deliveries.c.state == DeliveryState.PENDING.value
_DUE = and_(_PENDING, _deliveries.c.dispatch_at <= _NOW)
_DUE_RECEIVERS = select(_deliveries.c.workspace_id, _deliveries.c.receiver).where(_DUE).distinct()
_ANY_DUE = select(literal(1)).select_from(_deliveries).where(_DUE).limit(1)
_ANY_PENDING = select(literal(1)).select_from(_deliveries).where(_PENDING).limit(1)
_IN_FLIGHT = or_(
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
    .where(_IN_FLIGHT)
    .group_by(_deliveries.c.workspace_id, _deliveries.c.receiver)
)
_FAILING = select(_endpoints.c.id).where(
    _endpoints.c.id.in_(bindparam("receivers", expanding=True)),
    _endpoints.c.failing_since.is_not(None),
)
_SELECT_DUE = (
    select(_deliveries.c.id)
    .where(
        _DUE,
        _deliveries.c.workspace_id == bindparam("workspace"),
        _deliveries.c.receiver == bindparam("receiver"),
    )
    .order_by(_deliveries.c.dispatch_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_MARK_PUBLISHED = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(bindparam("ids", expanding=True)), _PENDING)
    .values(dispatch_at=bindparam("again_at"))
)


def has_due(connection: Connection, now: int) -> bool:
    """Return whether a delivery is due. Change nothing."""
    return connection.execute(_ANY_DUE, {"now": now}).first() is not None


def has_pending(connection: Connection) -> bool:
    """Return whether a delivery is pending that is due now or later. Change nothing."""
    return connection.execute(_ANY_PENDING).first() is not None


def publish_due(connection: Connection, now: int) -> list[str]:
    """Mark due deliveries as published, within each receiver's capacity; return their ids."""
    found = connection.execute(_DUE_RECEIVERS, {"now": now})
    receivers = [DeliveryReceiver(*row) for row in found]
    random.shuffle(receivers)  # if there are too many, none is always the last
    capacity = Capacity(connection, {each.workspace_id for each in receivers}, now)
    published: list[str] = []
    for start in range(0, len(receivers), RECEIVERS_PER_QUERY):
        group = receivers[start : start + RECEIVERS_PER_QUERY]
        published += _publish(connection, group, capacity, now)
        if len(published) >= MAX_PUBLISHED:
            break
    return published


@dataclass(frozen=True, slots=True)
class DeliveryReceiver:
    """A receiver to which a workspace has a delivery due."""

    workspace_id: str
    name: str


class Capacity:
    """The deliveries that may still be published for each receiver and each workspace."""

    def __init__(self, connection: Connection, workspaces: set[str], now: int) -> None:
        parameters = {"now": now, "again_at": now + REPUBLISH_MS}
        self._by_receiver: Counter[str] = Counter()  # by receiver
        self._by_workspace: Counter[str] = Counter()  # by workspace
        for workspace_id, receiver, count in connection.execute(_BUSY, parameters):
            self._by_receiver[receiver] += count
            self._by_workspace[workspace_id] += count
        sharing = len(workspaces | self._by_workspace.keys())
        self._share = max(MAX_CONCURRENT_TOTAL // (sharing + 1), MIN_SHARE)

    def find_free(self, receiver: DeliveryReceiver, *, is_failing: bool) -> int:
        """Return how many more may be sent; failing endpoints use at most half a share."""
        limit = MAX_CONCURRENT_FAILING if is_failing else MAX_CONCURRENT
        share = self._share // 2 if is_failing else self._share
        busy = self._by_workspace[receiver.workspace_id]
        return min(limit - self._by_receiver[receiver.name], share - busy)

    def reserve(self, receiver: DeliveryReceiver, count: int) -> None:
        """Count deliveries to a receiver as in flight."""
        self._by_receiver[receiver.name] += count
        self._by_workspace[receiver.workspace_id] += count


def _publish(
    connection: Connection, receivers: Sequence[DeliveryReceiver], capacity: Capacity, now: int
) -> list[str]:
    """Mark the due deliveries of these receivers as published, within the capacity."""
    ids: list[str] = []
    names = [each.name for each in receivers]
    failing = set(connection.execute(_FAILING, {"receivers": names}).scalars())
    for each in receivers:
        free = capacity.find_free(each, is_failing=each.name in failing)
        if free > 0:
            parameters = {
                "now": now,
                "workspace": each.workspace_id,
                "receiver": each.name,
                "limit": free,
            }
            found = connection.execute(_SELECT_DUE, parameters).scalars().all()
            capacity.reserve(each, len(found))
            ids += found
    if ids:
        connection.execute(_MARK_PUBLISHED, {"ids": ids, "again_at": now + REPUBLISH_MS})
    return ids
