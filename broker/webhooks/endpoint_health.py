"""An endpoint's health: failing since when, disabled when; its pending deliveries cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, WebhookEndpoint, table
from broker.webhooks.events import ENDPOINT_DISABLED, WebhookEvent
from broker.webhooks.fan_out import fan_out
from broker.webhooks.schedule import is_given_up

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


GONE = "it answered 410 Gone"
GIVEN_UP = "nothing but failures for 5 days"

_endpoints = table(WebhookEndpoint)
_OPEN = select(_endpoints.c.id, _endpoints.c.workspace_id, _endpoints.c.failing_since).where(
    _endpoints.c.id.in_(bindparam("ids", expanding=True)), _endpoints.c.disabled.is_(False)
)
_FAILING_SINCE = (
    update(_endpoints)
    .where(_endpoints.c.id == bindparam("of_endpoint"))
    .values(failing_since=bindparam("since"))
)
_DISABLE = (
    update(_endpoints)
    .where(_endpoints.c.id == bindparam("of_endpoint"))
    .values(disabled=True, disabled_reason=bindparam("reason"), disabled_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class HealthSign:
    """The verdict of one attempt on its endpoint."""

    endpoint_id: str
    now: int
    ok: bool
    gone: bool = False


def record_health(connection: Connection, signs: Sequence[HealthSign]) -> None:
    """Keep endpoints' health. A healthy endpoint that took a delivery costs one question."""
    if not signs:
        return
    ids = sorted({sign.endpoint_id for sign in signs})
    # whose latest word is a success is only read: no worker waits for another over it
    failed = sorted({sign.endpoint_id for sign in signs if not sign.ok})
    if failed:
        connection.execute(
            select(_endpoints.c.id)
            .where(_endpoints.c.id.in_(failed))
            .order_by(_endpoints.c.id)
            .with_for_update()
        ).all()
    for row in connection.execute(_OPEN, {"ids": ids}).all():
        _note(connection, row, [sign for sign in signs if sign.endpoint_id == row.id])


def _note(connection: Connection, row: Any, signs: Sequence[HealthSign]) -> None:
    now = signs[-1].now
    if any(sign.gone for sign in signs):
        _disable(connection, row, now, GONE)
    elif any(sign.ok for sign in signs):
        if row.failing_since is not None:
            connection.execute(_FAILING_SINCE, {"of_endpoint": row.id, "since": None})
    elif row.failing_since is None:
        connection.execute(_FAILING_SINCE, {"of_endpoint": row.id, "since": now})
    elif is_given_up(row.failing_since, now):
        _disable(connection, row, now, GIVEN_UP)


def _disable(connection: Connection, row: Any, now: int, reason: str) -> None:
    """Disable the endpoint, and notify the other endpoints of the workspace."""
    connection.execute(_DISABLE, {"of_endpoint": row.id, "reason": reason, "at": now})
    cancel_pending(connection, [row.id], now)
    data = {
        "id": row.id,
        "object": "webhook_endpoint",
        "status": "disabled",
        "reason": reason,
    }
    fan_out(connection, [WebhookEvent(row.workspace_id, ENDPOINT_DISABLED, row.id, now, data)])
