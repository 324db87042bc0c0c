"""delivered | exhausted | cancelled → pending: sent once more, because its owner asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select, update

from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import Delivery, WebhookEndpoint, table
from broker.webhooks.vocabulary import MISSING, DeliveryState

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_ENDED = (*MISSING, DeliveryState.DELIVERED)


@dataclass(frozen=True, slots=True)
class Redelivery:
    """A wish to send one delivery again, now."""

    workspace_id: str
    delivery_id: str
    now: int


@dataclass(frozen=True, slots=True)
class Replay:
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


def replay_many(connection: Connection, wishes: Sequence[Replay]) -> Sequence[int]:
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
        update(_deliveries).where(_deliveries.c.id == row.id).values(_anew(wish.now))
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


def _replay(connection: Connection, wish: Replay) -> int:
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
    return int(connection.execute(statement.values(_anew(wish.now))).rowcount)


def _anew(now: int) -> dict[str, Any]:
    """The columns of a delivery at the beginning of the schedule."""
    return {
        "state": DeliveryState.PENDING.value,
        "failures": 0,
        "next_at": now,
        "dispatch_at": now,
        "ended_at": None,
    }
