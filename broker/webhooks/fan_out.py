"""One event → one delivery for each receiver that wants it, in the state change's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, bindparam, insert, select

from broker.completion import Json
from broker.enums import DeliveryState, PayloadKind, Scheme
from broker.ids import new_id
from broker.jobs import reports, views
from broker.storage.tables import Delivery, WebhookEndpoint, table
from broker.webhooks import events as payloads
from broker.webhooks.events import JOB_EVENTS, WebhookEvent, is_wanted

_endpoints = table(WebhookEndpoint)
_INSERT = insert(table(Delivery))
_LISTENING = select(
    _endpoints.c.id,
    _endpoints.c.workspace_id,
    _endpoints.c.events,
    _endpoints.c.payload,
    _endpoints.c.scheme,
    _endpoints.c.disabled,
)
_LISTENING_IN = _LISTENING.where(
    _endpoints.c.workspace_id.in_(bindparam("workspaces", expanding=True))
)


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

    A workspace without endpoints costs its share of one indexed question. What a disabled endpoint
    misses is kept as cancelled, so that it can be replayed.
    """
    if not events:
        return 0
    workspaces = sorted({event.workspace_id for event in events})
    found = connection.execute(_LISTENING_IN, {"workspaces": workspaces}).all()
    if not found and not any(event.webhook for event in events):
        return 0
    listening = defaultdict(list)
    for row in found:
        listening[row.workspace_id].append(row)
    return len(_insert(connection, _address(events, listening)))


def send_to(connection: Connection, events: Mapping[str, WebhookEvent]) -> list[str]:
    """Create one delivery for each endpoint id, without its filter; return their ids."""
    rows = connection.execute(_LISTENING.where(_endpoints.c.id.in_(events))).all()
    return _insert(connection, [(events[row.id], _endpoint(row)) for row in rows])


def _insert(connection: Connection, sent: Sequence[tuple[WebhookEvent, _Receiver]]) -> list[str]:
    if not sent:
        return []
    documents = _documents(connection, sent)
    rows = [_row(event, receiver, documents.get(event.subject_id)) for event, receiver in sent]
    connection.execute(_INSERT, rows)
    return [row["id"] for row in rows]


def _address(
    events: Sequence[WebhookEvent], listening: Mapping[str, Sequence[Any]]
) -> list[tuple[WebhookEvent, _Receiver]]:
    return [
        (event, receiver)
        for event in events
        for receiver in _receivers(event, listening.get(event.workspace_id, ()))
    ]


def _receivers(event: WebhookEvent, endpoints: Sequence[Any]) -> list[_Receiver]:
    found = [
        _endpoint(row)
        for row in endpoints
        if row.id != event.subject_id
        and is_wanted(event.type, orjson.loads(row.events), is_line=event.is_line)
    ]
    if event.webhook is not None:
        own = orjson.loads(event.webhook)
        if is_wanted(event.type, own.get("events") or (), is_line=event.is_line):
            origin = f"{event.workspace_id} {urlsplit(own['url']).netloc}"
            found.append(_Receiver(origin, url=own["url"]))
    return found


def _endpoint(row: Any) -> _Receiver:
    return _Receiver(
        row.id,
        endpoint_id=row.id,
        payload=PayloadKind(row.payload),
        scheme=Scheme(row.scheme),
        disabled=row.disabled,
    )


def _documents(
    connection: Connection, sent: Sequence[tuple[WebhookEvent, _Receiver]]
) -> dict[str, Json]:
    """Return the jobs that are to be sent in full, by id."""
    wanted = {
        event.subject_id
        for event, receiver in sent
        if receiver.payload is PayloadKind.FULL and event.type in JOB_EVENTS
    }
    if not wanted:
        return {}
    return {id_: views.job(found) for id_, found in reports.ended(connection, wanted).items()}


def _row(event: WebhookEvent, receiver: _Receiver, document: Json | None) -> Mapping[str, Any]:
    whole = document if receiver.payload is PayloadKind.FULL else None
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
        "payload": payloads.body(event, receiver.scheme, whole),
        "is_full": whole is not None,
        "state": state.value,
        "attempt": 0,
        "failures": 0,
        "next_at": event.now,
        "dispatch_at": event.now,
        "created_at": event.now,
        "ended_at": event.now if receiver.disabled else None,
    }
