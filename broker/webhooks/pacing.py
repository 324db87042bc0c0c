"""Rate limits: an endpoint that asks for n deliveries a minute gets them 60/n seconds apart.

The pace is kept in the endpoint's row, so it holds for all workers together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection, bindparam, select, update

from broker.storage.tables import Delivery, WebhookEndpoint, table

MINUTE_MS = 60_000

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_PACE = (
    update(_endpoints)
    .where(_endpoints.c.id == bindparam("of_endpoint"))
    .values(paced_until=bindparam("until"))
)
_LATER = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("of_delivery"))
    .values(next_at=bindparam("at"), dispatch_at=bindparam("at"))
)


class Sendable(Protocol):
    """A row of `deliveries` that is due."""

    id: str
    endpoint_id: str | None


class PacedEndpoint(Protocol):
    """A row of `webhook_endpoints` with its pace."""

    id: str
    rate_limit: int | None  # a minute


Row = TypeVar("Row", bound=Sendable)


def paced(
    connection: Connection, rows: Sequence[Row], endpoints: Mapping[str, PacedEndpoint], now: int
) -> list[Row]:
    """Return the rows that may be sent now; put the others off to when their turn comes."""
    limited: defaultdict[str, list[Row]] = defaultdict(list)
    gaps: dict[str, float] = {}
    allowed: list[Row] = []
    for row in rows:
        endpoint = endpoints.get(row.endpoint_id or "")
        if endpoint is None or not endpoint.rate_limit:
            allowed.append(row)
        else:
            gaps[endpoint.id] = MINUTE_MS / endpoint.rate_limit
            limited[endpoint.id].append(row)
    for endpoint_id in sorted(limited):
        gap = gaps[endpoint_id]
        allowed += _admit(connection, limited[endpoint_id], endpoint_id, gap, now)
    return allowed


def _admit(
    connection: Connection, rows: Sequence[Row], endpoint_id: str, gap: float, now: int
) -> Sequence[Row]:
    """Let one delivery through if it is time for it: two at once would be two in one gap."""
    query = select(_endpoints.c.paced_until).where(_endpoints.c.id == endpoint_id)
    turn = max(connection.execute(query.with_for_update()).scalar_one(), now)
    turns = [(row, turn + int(place * gap)) for place, row in enumerate(rows)]
    admitted = [row for row, at in turns if at <= now]
    later = [{"of_delivery": row.id, "at": at} for row, at in turns if at > now]
    if admitted:
        until = turn + int(len(admitted) * gap)
        connection.execute(_PACE, {"of_endpoint": endpoint_id, "until": until})
    if later:
        connection.execute(_LATER, later)
    return admitted
