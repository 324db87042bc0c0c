"""Record the health of endpoints, and disable those that fail for too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, WebhookEndpoint, columns, table
from broker.webhooks.events import ENDPOINT_DISABLED, WebhookEvent
from broker.webhooks.fan_out import fan_out
from broker.webhooks.schedule import has_failed_too_long

_deliveries = table(Delivery)


def cancel_pending(connection: Connection, endpoint_ids: Sequence[str], now: int) -> None:
    """Cancel the pending deliveries of these endpoints; running attempts end normally."""
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


class _HealthRow(Protocol):
    id: str
    workspace_id: str
    failing_since: int | None  # Unix ms


_SELECT_ENABLED = select(*columns(_HealthRow, _endpoints)).where(
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
class EndpointResult:
    """The result of one attempt for its endpoint."""

    endpoint_id: str
    now: int
    ok: bool
    gone: bool = False


def record_health(connection: Connection, results: Sequence[EndpointResult]) -> None:
    """Update the health of endpoints. A success of a healthy endpoint costs one query."""
    if not results:
        return
    ids = sorted({result.endpoint_id for result in results})
    # endpoints with successes only are not locked, so that no worker waits for another
    failed = sorted({result.endpoint_id for result in results if not result.ok})
    if failed:
        connection.execute(
            select(_endpoints.c.id)
            .where(_endpoints.c.id.in_(failed))
            .order_by(_endpoints.c.id)
            .with_for_update()
        ).all()
    for row in connection.execute(_SELECT_ENABLED, {"ids": ids}).all():
        _update_health(
            connection, row, [result for result in results if result.endpoint_id == row.id]
        )


def _update_health(
    connection: Connection, row: _HealthRow, results: Sequence[EndpointResult]
) -> None:
    now = results[-1].now
    if any(result.gone for result in results):
        _disable(connection, row, now, GONE)
    elif any(result.ok for result in results):
        if row.failing_since is not None:
            connection.execute(_FAILING_SINCE, {"of_endpoint": row.id, "since": None})
    elif row.failing_since is None:
        connection.execute(_FAILING_SINCE, {"of_endpoint": row.id, "since": now})
    elif has_failed_too_long(row.failing_since, now):
        _disable(connection, row, now, GIVEN_UP)


def _disable(connection: Connection, row: _HealthRow, now: int, reason: str) -> None:
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
