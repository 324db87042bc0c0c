"""Administer API keys, each change with its audit entry; list the objects that a key created."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from sqlalchemy import ColumnElement, Connection, func, select

from broker import accounts
from broker.accounts import CallerKind, KeyRow, NewKey, audit
from broker.accounts.audit import Actor, AuditedChange
from broker.completion import Json
from broker.enums import EvaluationState
from broker.errors import InvalidRequestError, NotFoundError
from broker.jobs.states import WAITING
from broker.storage.tables import (
    ApiKey,
    AuditEntry,
    Batch,
    Evaluation,
    Job,
    Preset,
    WebhookEndpoint,
    table,
)

LONGEST_NAME = 200
LONGEST_SLUG = 50
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise InvalidRequestError for a name that is empty, too long or not printable."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidRequestError(f"name: must have 1 to {LONGEST_NAME} characters.", param="name")
    if not name.isprintable():
        raise InvalidRequestError("name: may have no control characters in it.", param="name")


def check_slug(slug: str) -> None:
    """Raise InvalidRequestError for a slug that cannot be part of a URL."""
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

_evaluations = table(Evaluation)

_CALLING = (EvaluationState.PREPARING, EvaluationState.ANSWERING, EvaluationState.JUDGING)
_STARTING = ("validating", "in_progress")  # of `batches.BatchState`: lines may still start


class RemainingObjects(TypedDict):
    """Objects that a key created: ids, slugs of presets, and the number of its waiting jobs."""

    keys: Sequence[str]
    webhook_endpoints: Sequence[str]
    presets: Sequence[str]
    batches: Sequence[str]
    evaluations: Sequence[str]
    waiting_jobs: int


def list_open_batches(connection: Connection, key: KeyRow) -> Sequence[str]:
    """Return the ids of a key's batches whose lines may still start."""
    is_of_key = (_batches.c.workspace_id == key.workspace_id, _batches.c.api_key_id == key.id)
    query = select(_batches.c.id).where(
        *is_of_key, _batches.c.state.in_(_STARTING), _batches.c.evaluation_id.is_(None)
    )
    return connection.execute(query.order_by(_batches.c.id)).scalars().all()


def list_open_evaluations(connection: Connection, key: KeyRow) -> Sequence[str]:
    """Return the ids of a key's evaluations whose calls may still start."""
    query = select(_evaluations.c.id).where(
        _evaluations.c.workspace_id == key.workspace_id,
        _evaluations.c.api_key_id == key.id,
        _evaluations.c.state.in_(_CALLING),
        _evaluations.c.stop_reason.is_(None),
    )
    return connection.execute(query.order_by(_evaluations.c.id)).scalars().all()


def list_waiting_jobs(connection: Connection, key: KeyRow, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` waiting jobs of a key, oldest first."""
    query = select(_jobs.c.id).where(*_waits(key)).order_by(_jobs.c.id).limit(limit)
    return connection.execute(query).scalars().all()


def _waits(key: KeyRow) -> Sequence[ColumnElement[bool]]:
    return (
        _jobs.c.workspace_id == key.workspace_id,
        _jobs.c.api_key_id == key.id,
        _jobs.c.state.in_(WAITING),
    )


def list_remaining(connection: Connection, key: KeyRow) -> RemainingObjects:
    """Return the objects that a key created and that still exist."""
    waiting = select(func.count()).select_from(_jobs).where(*_waits(key))
    created = {
        action: connection.execute(
            select(_entries.c.object_id)
            .where(_entries.c.actor == key.id, _entries.c.action == action)
            .distinct()
        ).scalars().all()
        for action in ("keys.create", "webhooks.create", "presets.save")
    }  # fmt: skip
    return {
        "keys": _existing(
            connection, _keys.c.id, created["keys.create"], _keys.c.deleted_at.is_(None)
        ),
        "webhook_endpoints": _existing(connection, _endpoints.c.id, created["webhooks.create"]),
        "presets": _existing(
            connection, _presets.c.slug, created["presets.save"],
            _presets.c.workspace_id == key.workspace_id,
        ),
        "batches": list_open_batches(connection, key),
        "evaluations": list_open_evaluations(connection, key),
        "waiting_jobs": int(connection.execute(waiting).scalar_one()),
    }  # fmt: skip


def _existing(
    connection: Connection,
    column: ColumnElement[str],
    names: Sequence[str],
    *where: ColumnElement[bool],
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
    """A key to create. `columns` are further columns of `tables.ApiKey`."""

    workspace_id: str
    name: str
    kind: CallerKind = CallerKind.INFERENCE
    columns: Json = field(default_factory=dict)


def create(connection: Connection, actor: Actor, options: KeyOptions) -> NewKey:
    """Create a key, which has no scopes unless the options name some.

    Raises InvalidRequestError if a management key has limits of an inference key.
    """
    check_name(options.name)
    columns = dict(options.columns)
    if options.kind is CallerKind.MANAGEMENT:
        _check_no_limits(columns)
    elif columns.get("scopes") is None:
        columns["scopes"] = NO_SCOPES
    new = accounts.create_key(
        connection, options.workspace_id, options.name, kind=options.kind.value, **columns
    )
    details = {"name": options.name, "kind": options.kind.value, **columns}
    change = AuditedChange("keys.create", new.id, options.workspace_id, after=details)
    audit.record(connection, actor, change)
    return new


def change(connection: Connection, actor: Actor, key: KeyRow, changes: Json) -> KeyRow:
    """Set columns of a key and return its new row."""
    if "name" in changes:
        check_name(changes["name"])
    if key.kind is CallerKind.MANAGEMENT:
        _check_no_limits(changes)
    accounts.change_key(connection, key.id, changes)
    before, after = audit.compare(_audited(key), changes)
    audit.record(
        connection, actor, AuditedChange("keys.update", key.id, key.workspace_id, before, after)
    )
    moved = changes.get("workspace_id", key.workspace_id)
    if moved != key.workspace_id:  # both workspaces have an entry
        audit.record(connection, actor, AuditedChange("keys.update", key.id, moved, before, after))
    return _get_key(connection, key.id)


def delete(connection: Connection, actor: Actor, key: KeyRow) -> RemainingObjects:
    """Delete a key, whose jobs continue; return the objects that it created and that still exist.

    The audit log lists these objects, too.
    """
    remaining = list_remaining(connection, key)
    accounts.delete_key(connection, key.id)
    details = {name: value for name, value in _audited(key).items() if value is not None}
    change = AuditedChange(
        "keys.delete", key.id, key.workspace_id, before=details, after={"left": remaining}
    )
    audit.record(connection, actor, change)
    return remaining


def _audited(key: KeyRow) -> Json:
    columns = key._asdict()
    return {name: columns[name] for name in AUDITED}


def _get_key(connection: Connection, key_id: str) -> KeyRow:
    row = accounts.find_key(connection, key_id)
    if row is None:  # deleted in the meantime
        raise NotFoundError(f"There is no key {key_id}.", param="hash")
    return row


def _check_no_limits(columns: Json) -> None:
    for name in ("limit_nanos", "limit_reset", "allowed_models", "allowed_providers",
                 "requests_per_minute", "max_concurrent_jobs", "scopes"):  # fmt: skip
        if columns.get(name):
            shown = name.removesuffix("_nanos")
            raise InvalidRequestError(
                f"{shown}: a management key runs no inference, so there is nothing to limit.",
                param=shown,
            )
