"""A workspace's webhook endpoints and its own secret: made, changed, rotated, tested, deleted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, func, insert, select, update

from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import WebhookEndpoint, WebhookSecret, table
from broker.webhooks.endpoint_health import cancel_pending
from broker.webhooks.events import TEST, WebhookEvent
from broker.webhooks.fan_out import send_to

MAX_ENDPOINTS = 100  # of a workspace: each may be one more row in the transaction of a job's end
OVERLAP_MS = 24 * 3600 * 1000  # how long the secret before also signs

_endpoints = table(WebhookEndpoint)


@dataclass(frozen=True, slots=True)
class EndpointName:
    """One endpoint of a workspace, to be deleted or tested."""

    workspace_id: str
    endpoint_id: str
    now: int


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """New values of an endpoint's columns, see `endpoint_wishes.changes`."""

    workspace_id: str
    endpoint_id: str
    now: int
    values: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By kind of signature, the columns of the secret that another URL gets."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new sealed secret for an endpoint; the one before signs too until its overlap ends."""

    workspace_id: str
    endpoint_id: str
    now: int
    values: Mapping[str, Any]  # secret (sealed), public_key, signature: see `new_secret_columns`
    overlap_ms: int = OVERLAP_MS


_Wish = TypeVar("_Wish", EndpointName, EndpointChange, Rotation)


def create_many(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """Insert endpoints (see `endpoint_wishes.new_endpoint`) and return their rows.

    A workspace that has its MAX_ENDPOINTS gets a ConflictError.
    """
    return [_create(connection, row) for row in rows]


def list_endpoints(connection: Connection, workspace_id: str) -> Sequence[Any]:
    """Return the rows of a workspace's endpoints, oldest first."""
    mine = select(_endpoints).where(_endpoints.c.workspace_id == workspace_id)
    return connection.execute(mine.order_by(_endpoints.c.id)).all()


def find_endpoint(connection: Connection, workspace_id: str, endpoint_id: str) -> Any:
    """Return an endpoint's row. Raises NotFoundError."""
    found = connection.execute(_mine(workspace_id, endpoint_id)).first()
    if found is None:
        raise _unknown(endpoint_id)
    return found


def update_many(connection: Connection, changes: Sequence[EndpointChange]) -> Sequence[Any]:
    """Change endpoints and return their rows. Disabling one cancels what it had yet to be sent."""
    return _each(connection, changes, _change)


def rotate_many(connection: Connection, rotations: Sequence[Rotation]) -> Sequence[Any]:
    """Give endpoints new secrets and return their rows."""
    return _each(connection, rotations, _rotate)


def delete_many(connection: Connection, names: Sequence[EndpointName]) -> Sequence[Any]:
    """Delete endpoints; what they had yet to be sent is cancelled. Returns their last rows."""
    return _each(connection, names, _delete)


def send_test_many(connection: Connection, names: Sequence[EndpointName]) -> Sequence[Any]:
    """Send endpoints an `endpoint.test`; return the deliveries' ids. A disabled one refuses."""
    return _each(connection, names, _test)


def _each(
    connection: Connection,
    wishes: Sequence[_Wish],
    carry_out: Callable[[Connection, _Wish, Any], Any],
) -> Sequence[Any]:
    results: list[Any] = []
    for wish in wishes:
        row = _row(connection, wish.workspace_id, wish.endpoint_id)
        unknown = row is None
        results.append(_unknown(wish.endpoint_id) if unknown else carry_out(connection, wish, row))
    return results


def _create(connection: Connection, row: Mapping[str, Any]) -> Any:
    mine = _endpoints.c.workspace_id == row["workspace_id"]
    count = connection.execute(select(func.count()).select_from(_endpoints).where(mine))
    if count.scalar_one() >= MAX_ENDPOINTS:
        return ConflictError(
            f"A workspace has at most {MAX_ENDPOINTS} webhook endpoints: delete one first."
        )
    connection.execute(insert(_endpoints).values(row))
    return _row(connection, row["workspace_id"], row["id"])


def _change(connection: Connection, change: EndpointChange, row: Any) -> Any:
    values = dict(change.values)
    if values.get("disabled") is True and not row.disabled:
        values |= {"disabled_at": change.now, "disabled_reason": "disabled by its owner"}
        cancel_pending(connection, [row.id], change.now)
    if values.get("disabled") is False:
        values |= {"disabled_at": None, "disabled_reason": None, "failing_since": None}
    if "url" in values:
        values["failing_since"] = None
    if values.get("url", row.url) != row.url:  # secret and headers were given for the other one
        dropped = {"headers": "", "previous_secret": None, "previous_until": None}
        values = {**dropped, **change.secrets[row.signature], **values}
    if values:
        connection.execute(update(_endpoints).where(_endpoints.c.id == row.id).values(values))
    return _row(connection, change.workspace_id, row.id)


def _rotate(connection: Connection, rotation: Rotation, row: Any) -> Any:
    if row.secret == rotation.values["secret"]:  # written already, by a try that seemed to fail
        return row
    earlier = {
        "previous_secret": row.secret,
        "previous_until": rotation.now + rotation.overlap_ms,
    }
    connection.execute(
        update(_endpoints).where(_endpoints.c.id == row.id).values({**rotation.values, **earlier})
    )
    return _row(connection, rotation.workspace_id, row.id)


def _delete(connection: Connection, name: EndpointName, row: Any) -> Any:
    cancel_pending(connection, [row.id], name.now)
    connection.execute(delete(_endpoints).where(_endpoints.c.id == row.id))
    return row


def _test(connection: Connection, name: EndpointName, row: Any) -> str | Exception:
    if row.disabled:
        return ConflictError(f"Webhook endpoint {row.id} is disabled: enable it first.")
    data = {"id": row.id, "object": "webhook_endpoint"}
    event = WebhookEvent(name.workspace_id, TEST, row.id, name.now, data)
    return send_to(connection, {row.id: event})[0]


def _row(connection: Connection, workspace_id: str, endpoint_id: str) -> Any:
    """Return an endpoint's row, kept from others until the commit; None where there is none."""
    return connection.execute(_mine(workspace_id, endpoint_id).with_for_update()).first()


def _mine(workspace_id: str, endpoint_id: str) -> Any:
    return select(_endpoints).where(
        _endpoints.c.id == endpoint_id, _endpoints.c.workspace_id == workspace_id
    )


def _unknown(endpoint_id: str) -> NotFoundError:
    return NotFoundError(f"There is no webhook endpoint {endpoint_id}.")


_secrets = table(WebhookSecret)


@dataclass(frozen=True, slots=True)
class NewWorkspaceSecret:
    """A fresh sealed secret for a workspace (`new_secret_columns(V1, seal)` makes one)."""

    workspace_id: str
    sealed: str
    now: int
    overlap_ms: int = OVERLAP_MS


def ensure_workspace_secrets(
    connection: Connection, wishes: Sequence[NewWorkspaceSecret]
) -> Sequence[Any]:
    """Return the rows of the workspaces' secrets; one that has none takes what is given."""
    return [_ensure(connection, wish) for wish in wishes]


def rotate_workspace_secrets(
    connection: Connection, wishes: Sequence[NewWorkspaceSecret]
) -> Sequence[Any]:
    """Replace workspaces' secrets and return their rows; the ones before sign too for a while."""
    return [_rotate_secret(connection, wish) for wish in wishes]


def _ensure(connection: Connection, wish: NewWorkspaceSecret) -> Any:
    found = find_workspace_secret(connection, wish.workspace_id)
    if found is not None:
        return found
    connection.execute(  # a twin that was faster makes this a conflict, and the next try finds it
        insert(_secrets).values(
            workspace_id=wish.workspace_id, secret=wish.sealed, created_at=wish.now
        )
    )
    return find_workspace_secret(connection, wish.workspace_id)


def _rotate_secret(connection: Connection, wish: NewWorkspaceSecret) -> Any:
    present = _ensure(connection, wish)
    if present.secret != wish.sealed:
        connection.execute(
            update(_secrets)
            .where(_secrets.c.workspace_id == wish.workspace_id)
            .values(
                secret=wish.sealed,
                previous_secret=present.secret,
                previous_until=wish.now + wish.overlap_ms,
                created_at=wish.now,
            )
        )
    return find_workspace_secret(connection, wish.workspace_id)


def find_workspace_secret(connection: Connection, workspace_id: str) -> Any | None:
    """Return the row of a workspace's secret, None before it was ever needed."""
    mine = select(_secrets).where(_secrets.c.workspace_id == workspace_id)
    return connection.execute(mine).first()
