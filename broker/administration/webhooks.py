"""Webhook endpoints and secrets administered, each act with its entry in the audit log."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from broker import webhooks
from broker.accounts import audit
from broker.accounts.audit import Act, Actor
from broker.administration.changes import only
from broker.completion import Json
from broker.webhooks import EndpointChange, EndpointName, NewWorkspaceSecret, Rotation

NOT_AUDITED = ("headers", "public_key")
"""Columns that say a receiver's credentials, or nothing to people."""


def create(connection: Connection, actor: Actor, columns: Mapping[str, Any]) -> Any:
    """Make an endpoint and return its row."""
    row = only(webhooks.create_many(connection, [columns]))
    act = Act("webhooks.create", row.id, row.workspace_id, after=_audit_fields(columns))
    audit.note(connection, actor, act)
    return row


def change(connection: Connection, actor: Actor, wanted: EndpointChange) -> Any:
    """Change an endpoint and return its row."""
    found = webhooks.find_endpoint(connection, wanted.workspace_id, wanted.endpoint_id)
    row = only(webhooks.update_many(connection, [wanted]))
    before, after = audit.difference(found._mapping, _audit_fields(wanted.values))  # noqa: SLF001
    if row.secret != found.secret:
        after = {**after, "renewed": "signature and headers"}
    act = Act("webhooks.update", row.id, row.workspace_id, before, after)
    audit.note(connection, actor, act)
    return row


def delete(connection: Connection, actor: Actor, name: EndpointName) -> None:
    """Delete an endpoint; what waits for it is cancelled."""
    row = only(webhooks.delete_many(connection, [name]))
    told = {"url": row.url, "description": row.description}
    audit.note(connection, actor, Act("webhooks.delete", row.id, row.workspace_id, before=told))


def rotate(connection: Connection, actor: Actor, rotation: Rotation) -> Any:
    """Give an endpoint a new secret and return its row."""
    row = only(webhooks.rotate_many(connection, [rotation]))
    told = {"signature": row.signature, "overlap_ms": rotation.overlap_ms}
    audit.note(connection, actor, Act("webhooks.rotate", row.id, row.workspace_id, after=told))
    return row


def rotate_workspace(connection: Connection, actor: Actor, fresh: NewWorkspaceSecret) -> Any:
    """Give a workspace a new secret for the URLs that its jobs name; return its row."""
    row = only(webhooks.rotate_workspace_secrets(connection, [fresh]))
    told = {"overlap_ms": fresh.overlap_ms}
    act = Act("webhooks.rotate", fresh.workspace_id, fresh.workspace_id, after=told)
    audit.note(connection, actor, act)
    return row


def note_reading(connection: Connection, actor: Actor, workspace_id: str) -> None:
    """Note that somebody was shown the workspace's secret."""
    audit.note(connection, actor, Act("webhooks.read_secret", workspace_id, workspace_id))


def _audit_fields(columns: Mapping[str, Any]) -> Json:
    return {name: value for name, value in columns.items() if name not in NOT_AUDITED}
