"""Change API keys, each act with its audit entry; list what a key made that is still there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from sqlalchemy import Connection, func, select

from broker import accounts
from broker.accounts import CallerKind, NewKey, audit
from broker.accounts.audit import Act, Actor
from broker.errors import InvalidRequestError, NotFoundError
from broker.jobs.states import WAITING
from broker.storage.tables import ApiKey, AuditEntry, Batch, Job, Preset, WebhookEndpoint, table

LONGEST_NAME = 200
LONGEST_SLUG = 50
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise InvalidRequestError for a name that says nothing, or that would break a list."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidRequestError(f"name: must have 1 to {LONGEST_NAME} characters.", param="name")
    if not name.isprintable():
        raise InvalidRequestError("name: may have no control characters in it.", param="name")


def check_slug(slug: str) -> None:
    """Raise InvalidRequestError for what is no part of a URL."""
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        raise InvalidRequestError(
            f"slug: must be lower-case letters, digits and single hyphens, {LONGEST_SLUG} at most.",
            param="slug",
        )


_entries = table(AuditEntry)
_keys = table(ApiKey)
_endpoints = table(WebhookEndpoint)
_presets = table(Preset)
_jobs = table(Job)
_batches = table(Batch)

_STARTED = ("validating", "in_progress")  # of `batches.BatchState`: lines may still begin


class RemainingObjects(TypedDict):
    """Objects that a deleted key leaves: ids, slugs of presets, the number of waiting jobs."""

    keys: Sequence[str]
    webhook_endpoints: Sequence[str]
    presets: Sequence[str]
    batches: Sequence[str]
    waiting_jobs: int


def list_open_batches(connection: Connection, row: Any) -> Sequence[str]:
    """Return the ids of a key's batches of which lines may still begin."""
    mine = (_batches.c.workspace_id == row.workspace_id, _batches.c.api_key_id == row.id)
    query = select(_batches.c.id).where(*mine, _batches.c.state.in_(_STARTED))
    return connection.execute(query.order_by(_batches.c.id)).scalars().all()


def list_waiting_jobs(connection: Connection, row: Any, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` jobs of a key that have not begun, oldest first."""
    query = select(_jobs.c.id).where(*_waits(row)).order_by(_jobs.c.id).limit(limit)
    return connection.execute(query).scalars().all()


def _waits(row: Any) -> Sequence[Any]:
    return (
        _jobs.c.workspace_id == row.workspace_id,
        _jobs.c.api_key_id == row.id,
        _jobs.c.state.in_(WAITING),
    )


def list_remaining(connection: Connection, row: Any) -> RemainingObjects:
    """Return the objects that a key created and that still exist."""
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
        "keys": _existing(
            connection, _keys.c.id, made["keys.create"], _keys.c.deleted_at.is_(None)
        ),
        "webhook_endpoints": _existing(connection, _endpoints.c.id, made["webhooks.create"]),
        "presets": _existing(
            connection, _presets.c.slug, made["presets.save"],
            _presets.c.workspace_id == row.workspace_id,
        ),
        "batches": list_open_batches(connection, row),
        "waiting_jobs": int(connection.execute(waiting).scalar_one()),
    }  # fmt: skip


def _existing(
    connection: Connection, column: Any, names: Sequence[str], *where: Any
) -> Sequence[str]:
    if not names:
        return []
    found = connection.execute(select(column).where(column.in_(names), *where).order_by(column))
    return [str(name) for name in found.scalars()]


AUDITED = (
    "name", "kind", "everywhere", "disabled", "limit_nanos", "limit_reset",
    "include_byok_in_limit", "requests_per_minute", "max_concurrent_jobs", "allowed_models",
    "allowed_providers", "scopes", "created_by", "expires_at", "workspace_id",
)  # fmt: skip
"""The columns that the audit log records."""

NO_SCOPES = "[]"

__all__ = ["KeyOptions", "change", "create", "delete"]


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """A key to be made; `columns` as in `tables.ApiKey`."""

    workspace_id: str
    name: str
    kind: CallerKind = CallerKind.INFERENCE
    columns: Mapping[str, Any] = field(default_factory=dict)


def create(connection: Connection, actor: Actor, wish: KeyOptions) -> NewKey:
    """Make a key, with no scopes unless it names some.

    Raises where a management key is given an inference key's limits.
    """
    check_name(wish.name)
    columns = dict(wish.columns)
    if wish.kind is CallerKind.MANAGEMENT:
        _refuse_limits(columns)
    elif columns.get("scopes") is None:
        columns["scopes"] = NO_SCOPES
    made = accounts.create_key(
        connection, wish.workspace_id, wish.name, kind=wish.kind.value, **columns
    )
    details = {"name": wish.name, "kind": wish.kind.value, **columns}
    act = Act("keys.create", made.id, wish.workspace_id, after=details)
    audit.note(connection, actor, act)
    return made


def change(connection: Connection, actor: Actor, row: Any, changes: Mapping[str, Any]) -> Any:
    """Set columns of a key (its row is given); return its new row."""
    if "name" in changes:
        check_name(changes["name"])
    if row.kind == CallerKind.MANAGEMENT.value:
        _refuse_limits(changes)
    accounts.change_key(connection, row.id, changes)
    known = {name: getattr(row, name) for name in AUDITED}
    before, after = audit.difference(known, changes)
    audit.note(connection, actor, Act("keys.update", row.id, row.workspace_id, before, after))
    moved = changes.get("workspace_id", row.workspace_id)
    if moved != row.workspace_id:  # both workspaces have an entry
        audit.note(connection, actor, Act("keys.update", row.id, moved, before, after))
    return _get_key(connection, row.id)


def delete(connection: Connection, actor: Actor, row: Any) -> RemainingObjects:
    """Delete a key: it opens nothing any more; jobs it submitted go on.

    Return what it made that is still there; the audit log has that, too.
    """
    left = list_remaining(connection, row)
    accounts.delete_key(connection, row.id)
    known = {name: getattr(row, name) for name in AUDITED}
    details = {name: value for name, value in known.items() if value is not None}
    act = Act("keys.delete", row.id, row.workspace_id, before=details, after={"left": left})
    audit.note(connection, actor, act)
    return left


def _get_key(connection: Connection, key_id: str) -> Any:
    row = accounts.find_key(connection, key_id)
    if row is None:  # deleted meanwhile
        raise NotFoundError(f"There is no key {key_id}.", param="hash")
    return row


def _refuse_limits(columns: Mapping[str, Any]) -> None:
    for name in ("limit_nanos", "limit_reset", "allowed_models", "allowed_providers",
                 "requests_per_minute", "max_concurrent_jobs", "scopes"):  # fmt: skip
        if columns.get(name):
            shown = name.removesuffix("_nanos")
            raise InvalidRequestError(
                f"{shown}: a management key runs no inference, so there is nothing to limit.",
                param=shown,
            )
