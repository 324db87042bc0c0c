"""What becomes of deliveries whose worker was lost between claim and record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from broker.storage.tables import Delivery, DeliveryAttempt, table
from broker.webhooks.vocabulary import DeliveryState

RESCUE_GROUP = 500
LOST = "The worker that made this attempt was lost before it could report: it may have arrived."

_deliveries = table(Delivery)
_attempts = table(DeliveryAttempt)


@dataclass(frozen=True, slots=True)
class RescueDeliveries:
    """A look for deliveries whose worker fell silent; `owner` names one known to be dead."""

    now: int
    owner: str | None = None


def rescue_many(connection: Connection, rescues: Sequence[RescueDeliveries]) -> Sequence[int]:
    """Make lost deliveries due at once, under the same webhook-id; return how many.

    At most RESCUE_GROUP are looked at: as many as that mean there may be more.
    """
    return [_rescue(connection, rescue) for rescue in rescues]


def _rescue(connection: Connection, rescue: RescueDeliveries) -> int:
    lost = (
        _deliveries.c.lease_expires_at < rescue.now
        if rescue.owner is None
        else _deliveries.c.lease_owner == rescue.owner
    )
    rows = connection.execute(
        select(_deliveries.c.id, _deliveries.c.attempt)
        .where(_deliveries.c.state == DeliveryState.RUNNING.value, lost)
        .order_by(_deliveries.c.id)
        .limit(RESCUE_GROUP)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.id.in_([row.id for row in rows]))
            .values(
                state=DeliveryState.PENDING.value,
                next_at=rescue.now,
                dispatch_at=rescue.now,
                lease_owner=None,
                lease_expires_at=None,
            )
        )
        connection.execute(insert(_attempts), [_attempt(row, rescue.now) for row in rows])
    return len(rows)


def _attempt(row: Any, now: int) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "number": row.attempt,
        "started_at": now,  # when it began is lost with the worker
        "duration_ms": None,
        "status": None,
        "error": LOST,
        "body": None,
    }
