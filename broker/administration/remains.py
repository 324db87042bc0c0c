"""List what a key made that is still there, to be reviewed when the key is deleted."""

from collections.abc import Sequence
from typing import Any, TypedDict

from sqlalchemy import Connection, func, select

from broker.jobs.states import WAITING
from broker.storage.tables import ApiKey, AuditEntry, Batch, Job, Preset, WebhookEndpoint, table

_entries = table(AuditEntry)
_keys = table(ApiKey)
_endpoints = table(WebhookEndpoint)
_presets = table(Preset)
_jobs = table(Job)
_batches = table(Batch)

_STARTED = ("validating", "in_progress")  # of `batches.BatchState`: lines may still begin


class Left(TypedDict):
    """What a key made that is still there: ids, slugs of presets, and how much waits to run."""

    keys: Sequence[str]
    webhook_endpoints: Sequence[str]
    presets: Sequence[str]
    batches: Sequence[str]
    waiting_jobs: int


def open_batches(connection: Connection, row: Any) -> Sequence[str]:
    """Return the ids of a key's batches of which lines may still begin."""
    mine = (_batches.c.workspace_id == row.workspace_id, _batches.c.api_key_id == row.id)
    query = select(_batches.c.id).where(*mine, _batches.c.state.in_(_STARTED))
    return connection.execute(query.order_by(_batches.c.id)).scalars().all()


def waiting_jobs(connection: Connection, row: Any, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` jobs of a key that have not begun, oldest first."""
    query = select(_jobs.c.id).where(*_waits(row)).order_by(_jobs.c.id).limit(limit)
    return connection.execute(query).scalars().all()


def _waits(row: Any) -> Sequence[Any]:
    return (
        _jobs.c.workspace_id == row.workspace_id,
        _jobs.c.api_key_id == row.id,
        _jobs.c.state.in_(WAITING),
    )


def made_by(connection: Connection, row: Any) -> Left:
    """Return what a key made that is still there."""
    waiting = select(func.count()).select_from(_jobs).where(*_waits(row))
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
        "batches": open_batches(connection, row),
        "waiting_jobs": int(connection.execute(waiting).scalar_one()),
    }  # fmt: skip


def _left(connection: Connection, column: Any, names: Sequence[str], *where: Any) -> Sequence[str]:
    if not names:
        return []
    found = connection.execute(select(column).where(column.in_(names), *where).order_by(column))
    return [str(name) for name in found.scalars()]
