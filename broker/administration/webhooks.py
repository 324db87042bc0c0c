"""Administer webhook endpoints and secrets, each change with its audit entry."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from broker import webhooks
from broker.accounts import audit
from broker.accounts.audit import Actor, AuditedChange
from broker.completion import Json
from broker.webhooks import (
    EndpointChange,
    NewWorkspaceSecret,
    Rotation,
    SecretRow,
    WebhookEndpointRow,
)

NOT_AUDITED = ("headers", "public_key")
"""Columns that contain credentials of the receiver, or that help no reader."""


def create(connection: Connection, actor: Actor, columns: Json) -> WebhookEndpointRow:
    """Create an endpoint and return its row."""
    row = webhooks.create_endpoint(connection, columns)
    change = AuditedChange(
        "webhooks.create", row.id, row.workspace_id, after=_audit_fields(columns)
    )
    audit.record(connection, actor, change)
    return row


def change(connection: Connection, actor: Actor, request: EndpointChange) -> WebhookEndpointRow:
    """Change an endpoint and return its row."""
    found = webhooks.find_endpoint(connection, request.workspace_id, request.endpoint_id)
    row = webhooks.update_endpoint(connection, request)
    before, after = audit.compare(found._asdict(), _audit_fields(request.values))
    if row.secret != found.secret:
        after = {**after, "renewed": "signature and headers"}
    change = AuditedChange("webhooks.update", row.id, row.workspace_id, before, after)
    audit.record(connection, actor, change)
    return row


def delete(
    connection: Connection, actor: Actor, workspace_id: str, endpoint_id: str, now: int
) -> None:
    """Delete an endpoint and cancel its pending deliveries."""
    row = webhooks.delete_endpoint(connection, workspace_id, endpoint_id, now)
    details = {"url": row.url, "description": row.description}
    audit.record(
        connection,
        actor,
        AuditedChange("webhooks.delete", row.id, row.workspace_id, before=details),
    )


def rotate(connection: Connection, actor: Actor, rotation: Rotation) -> WebhookEndpointRow:
    """Give an endpoint a new secret and return its row."""
    row = webhooks.rotate_endpoint(connection, rotation)
    details = {"signature": row.signature, "overlap_ms": rotation.overlap_ms}
    audit.record(
        connection, actor, AuditedChange("webhooks.rotate", row.id, row.workspace_id, after=details)
    )
    return row


def rotate_workspace(connection: Connection, actor: Actor, fresh: NewWorkspaceSecret) -> SecretRow:
    """Give a workspace a new secret for the URLs that its jobs name; return its row."""
    row = webhooks.rotate_workspace_secret(connection, fresh)
    details = {"overlap_ms": fresh.overlap_ms}
    change = AuditedChange("webhooks.rotate", fresh.workspace_id, fresh.workspace_id, after=details)
    audit.record(connection, actor, change)
    return row


def note_reading(connection: Connection, actor: Actor, workspace_id: str) -> None:
    """Record that a person read the secret of a workspace."""
    audit.record(
        connection, actor, AuditedChange("webhooks.read_secret", workspace_id, workspace_id)
    )


def _audit_fields(columns: Mapping[str, Any]) -> Json:
    return {name: value for name, value in columns.items() if name not in NOT_AUDITED}
