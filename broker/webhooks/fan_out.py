"""Create the deliveries of events in the transaction of the state change."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, insert, select

from broker.completion import Json
from broker.enums import DeliveryState, PayloadKind, Scheme
from broker.ids import new_id
from broker.jobs import reports, views
from broker.storage.frequent_statements import FrequentQuery
from broker.storage.tables import Delivery, WebhookEndpoint, columns, table
from broker.storage.text_lists import among
from broker.webhooks import events as payloads
from broker.webhooks.events import JOB_EVENTS, WebhookEvent, matches_filter

_endpoints = table(WebhookEndpoint)


class _EndpointRow(Protocol):
    id: str
    workspace_id: str
    events: str  # JSON list; empty = all
    payload: PayloadKind  # see `enums.PayloadKind`
    scheme: Scheme  # see `enums.Scheme`
    disabled: bool


_SELECT_ENDPOINTS = select(*columns(_EndpointRow, _endpoints))
_SELECT_OF_WORKSPACES = FrequentQuery[_EndpointRow](
    _SELECT_ENDPOINTS.where(among(_endpoints.c.workspace_id, "workspaces"))
)
_INSERT = insert(table(Delivery))


@dataclass(frozen=True, slots=True)
class _Receiver:
    """The destination and the form of an event."""

    name: str  # see `tables.Delivery.receiver`
    endpoint_id: str | None = None
    url: str | None = None
    payload: PayloadKind = PayloadKind.THIN
    scheme: Scheme = Scheme.STANDARD
    disabled: bool = False


def fan_out(connection: Connection, events: Sequence[WebhookEvent]) -> int:
    """Create the deliveries of these events; return how many.

    A workspace without endpoints costs its share of one indexed query. A disabled endpoint gets
    cancelled deliveries, which can be replayed.
    """
    if not events:
        return 0
    workspaces = sorted({event.workspace_id for event in events})
    rows = _SELECT_OF_WORKSPACES.all(connection, {"workspaces": workspaces})
    if not rows and not any(event.webhook for event in events):
        return 0
    endpoints = defaultdict(list)
    for row in rows:
        endpoints[row.workspace_id].append(row)
    return len(_insert(connection, _find_destinations(events, endpoints)))


def send_to(connection: Connection, events: Mapping[str, WebhookEvent]) -> list[str]:
    """Create one delivery for each endpoint id, without its filter; return their ids."""
    rows = connection.execute(_SELECT_ENDPOINTS.where(_endpoints.c.id.in_(events))).all()
    return _insert(connection, [(events[row.id], _build_receiver(row)) for row in rows])


def _insert(
    connection: Connection, destinations: Sequence[tuple[WebhookEvent, _Receiver]]
) -> list[str]:
    if not destinations:
        return []
    documents = _load_documents(connection, destinations)
    rows = [
        _build_row(
            event, receiver, documents.get(event.subject_id) if event.type in JOB_EVENTS else None
        )
        for event, receiver in destinations
    ]
    connection.execute(_INSERT, rows)
    return [row["id"] for row in rows]


def _find_destinations(
    events: Sequence[WebhookEvent], endpoints: Mapping[str, Sequence[_EndpointRow]]
) -> list[tuple[WebhookEvent, _Receiver]]:
    return [
        (event, receiver)
        for event in events
        for receiver in _find_receivers(event, endpoints.get(event.workspace_id, ()))
    ]


def _find_receivers(event: WebhookEvent, endpoints: Sequence[_EndpointRow]) -> list[_Receiver]:
    rows = [
        _build_receiver(row)
        for row in endpoints
        if row.id != event.subject_id
        and matches_filter(event.type, orjson.loads(row.events), is_line=event.is_line)
    ]
    if event.webhook is not None:
        webhook = orjson.loads(event.webhook)
        if matches_filter(event.type, webhook.get("events") or (), is_line=event.is_line):
            origin = f"{event.workspace_id} {urlsplit(webhook['url']).netloc}"
            rows.append(_Receiver(origin, url=webhook["url"]))
    return rows


def _build_receiver(row: _EndpointRow) -> _Receiver:
    return _Receiver(
        row.id,
        endpoint_id=row.id,
        payload=PayloadKind(row.payload),
        scheme=Scheme(row.scheme),
        disabled=row.disabled,
    )


def _load_documents(
    connection: Connection, destinations: Sequence[tuple[WebhookEvent, _Receiver]]
) -> dict[str, Json]:
    """Return the jobs of full payloads, by id."""
    full_jobs = {
        event.subject_id
        for event, receiver in destinations
        if receiver.payload is PayloadKind.FULL and event.type in JOB_EVENTS
    }
    if not full_jobs:
        return {}
    return {id_: views.job(rows) for id_, rows in reports.ended(connection, full_jobs).items()}


def _build_row(
    event: WebhookEvent, receiver: _Receiver, document: Json | None
) -> Mapping[str, Any]:
    full = document if receiver.payload is PayloadKind.FULL else None
    state = DeliveryState.CANCELLED if receiver.disabled else DeliveryState.PENDING
    return {
        "id": new_id("dlv_"),
        "event_id": event.id,
        "workspace_id": event.workspace_id,
        "endpoint_id": receiver.endpoint_id,
        "url": receiver.url,
        "receiver": receiver.name,
        "event_type": event.type,
        "subject_id": event.subject_id,
        "payload": payloads.build_body(event, receiver.scheme, full),
        "is_full": full is not None,
        "state": state.value,
        "attempt": 0,
        "failures": 0,
        "next_at": event.now,
        "dispatch_at": event.now,
        "created_at": event.now,
        "ended_at": event.now if receiver.disabled else None,
    }
