"""pending → cancelled: an endpoint that is disabled or deleted is sent nothing more."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from broker.storage.tables import Delivery, table
from broker.webhooks.vocabulary import DeliveryState

_deliveries = table(Delivery)


def cancel_pending(connection: Connection, endpoint_ids: Sequence[str], now: int) -> None:
    """Cancel what waits for these endpoints; an attempt that is under way ends by itself."""
    connection.execute(
        update(_deliveries)
        .where(
            _deliveries.c.receiver.in_(endpoint_ids),
            _deliveries.c.state == DeliveryState.PENDING.value,
        )
        .values(state=DeliveryState.CANCELLED.value, ended_at=now)
    )
