"""List what a key made that is still there, to be reviewed when the key is deleted."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from broker.tables import ApiKey, AuditEntry, Preset, WebhookEndpoint, table

_entries = table(AuditEntry)
_keys = table(ApiKey)
_endpoints = table(WebhookEndpoint)
_presets = table(Preset)


def made_by(connection: Connection, row: Any) -> Mapping[str, Sequence[str]]:
    """Return ids of keys and webhook endpoints, and slugs of presets, that a key made."""
    made = {
        action: connection.execute(
            select(_entries.c.object_id)
            .where(_entries.c.actor == row.id, _entries.c.action == action)
            .distinct()
        ).scalars().all()
        for action in ("keys.create", "webhooks.create", "presets.save")
    }  # fmt: skip
    return {
        "keys": _left(
            connection, _keys.c.id, made["keys.create"], _keys.c.deleted_at.is_(None)
        ),
        "webhook_endpoints": _left(connection, _endpoints.c.id, made["webhooks.create"]),
        "presets": _left(
            connection, _presets.c.slug, made["presets.save"],
            _presets.c.workspace_id == row.workspace_id,
        ),
    }  # fmt: skip


def _left(connection: Connection, column: Any, names: Sequence[str], *where: Any) -> Sequence[str]:
    if not names:
        return []
    found = connection.execute(select(column).where(column.in_(names), *where).order_by(column))
    return [str(name) for name in found.scalars()]
