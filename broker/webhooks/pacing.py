"""Rate limits: an endpoint that asks for n deliveries a minute gets them 60/n seconds apart.

The pace is kept in the endpoint's row, so it holds for all workers together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from broker.tables import Delivery, WebhookEndpoint, table

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


def paced(
    connection: Connection, rows: Sequence[Any], endpoints: Mapping[str, Any], now: int
) -> list[Any]:
    """Return the rows that may be sent now; put the others off to when their turn comes."""
    limited: defaultdict[str, list[Any]] = defaultdict(list)
    allowed = []
    for row in rows:
        endpoint = endpoints.get(row.endpoint_id)
        if endpoint is None or not endpoint.rate_limit:
            allowed.append(row)
        else:
            limited[endpoint.id].append(row)
    for endpoint_id in sorted(limited):
        allowed += _admit(connection, limited[endpoint_id], endpoints[endpoint_id], now)
    return allowed


def _admit(connection: Connection, rows: Sequence[Any], endpoint: Any, now: int) -> Sequence[Any]:
    """Let one delivery through if it is time for it: two at once would be two in one gap."""
    query = select(_endpoints.c.paced_until).where(_endpoints.c.id == endpoint.id)
    turn = max(connection.execute(query.with_for_update()).scalar_one(), now)
    gap = MINUTE_MS / endpoint.rate_limit
    turns = [(row, turn + int(place * gap)) for place, row in enumerate(rows)]
    admitted = [row for row, at in turns if at <= now]
    later = [{"of_delivery": row.id, "at": at} for row, at in turns if at > now]
    if admitted:
        until = turn + int(len(admitted) * gap)
        connection.execute(_PACE, {"of_endpoint": endpoint.id, "until": until})
    if later:
        connection.execute(_LATER, later)
    return admitted
