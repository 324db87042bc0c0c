"""Create, change, rotate, test and delete webhook endpoints; manage the workspace's secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from broker.enums import PayloadKind, Scheme, SignatureKind
from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import WebhookEndpoint, WebhookSecret, columns, table
from broker.webhooks.endpoint_health import cancel_pending
from broker.webhooks.events import TEST, WebhookEvent
from broker.webhooks.fan_out import send_to

MAX_ENDPOINTS = 100  # of a workspace: each may add a row to the transaction of a job's end
OVERLAP_MS = 24 * 3600 * 1000  # time in which the previous secret also signs

_endpoints = table(WebhookEndpoint)


class WebhookEndpointRow(NamedTuple):
    """A row of `webhook_endpoints`. Times in Unix milliseconds."""

    id: str
    workspace_id: str
    url: str
    description: str
    events: str  # JSON list; empty = all
    payload: PayloadKind  # see `events.PayloadKind`
    scheme: Scheme  # see `events.Scheme`
    signature: SignatureKind  # see `events.SignatureKind`
    secret: str  # encrypted
    public_key: str | None  # of a `v1a` secret
    previous_secret: str | None  # encrypted
    previous_until: int | None
    headers: str  # encrypted JSON, "" = none
    rate_limit: int | None  # deliveries a minute
    paced_until: int
    disabled: bool
    disabled_reason: str | None
    disabled_at: int | None
    failing_since: int | None
    created_at: int


_SELECT = select(*columns(WebhookEndpointRow, _endpoints))


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """New values of an endpoint's columns, see `endpoint_options.endpoint_columns`."""

    workspace_id: str
    endpoint_id: str
    now: int
    values: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By kind of signature: the columns of the new secret that is used if the URL changes."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new encrypted secret; the previous one also signs until the overlap ends."""

    workspace_id: str
    endpoint_id: str
    now: int
    values: Mapping[
        str, Any
    ]  # secret (encrypted), public_key, signature: see `build_secret_columns`
    overlap_ms: int = OVERLAP_MS


def create_endpoint(connection: Connection, row: Mapping[str, Any]) -> WebhookEndpointRow:
    """Insert an endpoint (see `endpoint_options.build_endpoint`) and return its row.

    Raises ConflictError if the workspace has MAX_ENDPOINTS already.
    """
    query = _endpoints.c.workspace_id == row["workspace_id"]
    count = connection.execute(select(func.count()).select_from(_endpoints).where(query))
    if count.scalar_one() >= MAX_ENDPOINTS:
        raise ConflictError(
            f"A workspace has at most {MAX_ENDPOINTS} webhook endpoints: delete one first."
        )
    connection.execute(insert(_endpoints).values(row))
    return _lock(connection, row["workspace_id"], row["id"])


def list_endpoints(connection: Connection, workspace_id: str) -> Sequence[WebhookEndpointRow]:
    """Return the endpoints of a workspace, oldest first."""
    query = _SELECT.where(_endpoints.c.workspace_id == workspace_id)
    return [WebhookEndpointRow(*row) for row in connection.execute(query.order_by(_endpoints.c.id))]


def find_endpoint(
    connection: Connection, workspace_id: str, endpoint_id: str
) -> WebhookEndpointRow:
    """Return an endpoint. Raises NotFoundError."""
    return _read(connection, _select_endpoint(workspace_id, endpoint_id), endpoint_id)


def update_endpoint(connection: Connection, change: EndpointChange) -> WebhookEndpointRow:
    """Change an endpoint and return its row; disabling it cancels its pending deliveries.

    Raises NotFoundError. A new URL gets a new secret and no headers, because the earlier receiver
    knows both.
    """
    row = _lock(connection, change.workspace_id, change.endpoint_id)
    values = dict(change.values)
    if values.get("disabled") is True and not row.disabled:
        values |= {"disabled_at": change.now, "disabled_reason": "disabled by its owner"}
        cancel_pending(connection, [row.id], change.now)
    if values.get("disabled") is False:
        values |= {"disabled_at": None, "disabled_reason": None, "failing_since": None}
    if "url" in values:
        values["failing_since"] = None
    if values.get("url", row.url) != row.url:
        dropped = {"headers": "", "previous_secret": None, "previous_until": None}
        values = {**dropped, **change.secrets[row.signature], **values}
    if values:
        connection.execute(update(_endpoints).where(_endpoints.c.id == row.id).values(values))
    return _lock(connection, change.workspace_id, row.id)


def rotate_endpoint(connection: Connection, rotation: Rotation) -> WebhookEndpointRow:
    """Give an endpoint a new secret and return its row. Raises NotFoundError.

    A rotation that an earlier try has already stored changes nothing.
    """
    row = _lock(connection, rotation.workspace_id, rotation.endpoint_id)
    if row.secret == rotation.values["secret"]:
        return row
    earlier = {
        "previous_secret": row.secret,
        "previous_until": rotation.now + rotation.overlap_ms,
    }
    connection.execute(
        update(_endpoints).where(_endpoints.c.id == row.id).values({**rotation.values, **earlier})
    )
    return _lock(connection, rotation.workspace_id, row.id)


def delete_endpoint(
    connection: Connection, workspace_id: str, endpoint_id: str, now: int
) -> WebhookEndpointRow:
    """Delete an endpoint, cancel its pending deliveries, return its last row.

    Raises NotFoundError.
    """
    row = _lock(connection, workspace_id, endpoint_id)
    cancel_pending(connection, [row.id], now)
    connection.execute(delete(_endpoints).where(_endpoints.c.id == row.id))
    return row


def send_test(connection: Connection, workspace_id: str, endpoint_id: str, now: int) -> str:
    """Create a delivery of `endpoint.test` and return its id.

    Raises NotFoundError, or ConflictError for a disabled endpoint.
    """
    row = _lock(connection, workspace_id, endpoint_id)
    if row.disabled:
        raise ConflictError(f"Webhook endpoint {row.id} is disabled: enable it first.")
    data = {"id": row.id, "object": "webhook_endpoint"}
    event = WebhookEvent(workspace_id, TEST, row.id, now, data)
    return send_to(connection, {row.id: event})[0]


def _lock(connection: Connection, workspace_id: str, endpoint_id: str) -> WebhookEndpointRow:
    """Return an endpoint, locked until the commit. Raises NotFoundError."""
    return _read(
        connection, _select_endpoint(workspace_id, endpoint_id).with_for_update(), endpoint_id
    )


def _read(connection: Connection, query: Any, endpoint_id: str) -> WebhookEndpointRow:
    row = connection.execute(query).first()
    if row is None:
        raise NotFoundError(f"There is no webhook endpoint {endpoint_id}.")
    return WebhookEndpointRow(*row)


def _select_endpoint(workspace_id: str, endpoint_id: str) -> Any:
    return _SELECT.where(_endpoints.c.id == endpoint_id, _endpoints.c.workspace_id == workspace_id)


_secrets = table(WebhookSecret)


class SecretRow(NamedTuple):
    """A row of `webhook_secrets`."""

    workspace_id: str
    secret: str  # encrypted
    previous_secret: str | None  # encrypted
    previous_until: int | None  # Unix milliseconds
    created_at: int


@dataclass(frozen=True, slots=True)
class NewWorkspaceSecret:
    """A new encrypted secret for a workspace (see `build_secret_columns`)."""

    workspace_id: str
    encrypted: str
    now: int
    overlap_ms: int = OVERLAP_MS


def ensure_workspace_secret(connection: Connection, new: NewWorkspaceSecret) -> SecretRow:
    """Return the secret of a workspace; store the new one if it has none."""
    found = find_workspace_secret(connection, new.workspace_id)
    if found is not None:
        return found
    connection.execute(  # after a concurrent insert this conflicts, and the next try finds the row
        insert(_secrets).values(
            workspace_id=new.workspace_id, secret=new.encrypted, created_at=new.now
        )
    )
    return SecretRow(new.workspace_id, new.encrypted, None, None, new.now)


def rotate_workspace_secret(connection: Connection, new: NewWorkspaceSecret) -> SecretRow:
    """Replace the secret of a workspace; the previous one also signs until the overlap ends."""
    current = ensure_workspace_secret(connection, new)
    if current.secret == new.encrypted:
        return current
    rotated = SecretRow(
        new.workspace_id, new.encrypted, current.secret, new.now + new.overlap_ms, new.now
    )
    connection.execute(
        update(_secrets)
        .where(_secrets.c.workspace_id == new.workspace_id)
        .values(rotated._asdict())
    )
    return rotated


def find_workspace_secret(connection: Connection, workspace_id: str) -> SecretRow | None:
    """Return the secret of a workspace, or None before its first use."""
    query = select(*columns(SecretRow, _secrets)).where(_secrets.c.workspace_id == workspace_id)
    row = connection.execute(query).first()
    return None if row is None else SecretRow(*row)
