"""The audit log: administrative changes with actor, time and address. Entries never change.

`record` writes in the transaction of the change, so that both are committed or neither.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, insert, or_, select

from broker.clock import now_ms
from broker.completion import Json
from broker.ids import new_id
from broker.storage.tables import AuditEntry, columns, table

SECRET_WORDS = ("secret", "password", "token", "hash")
"""A field whose name contains one of these is left out of the log."""

_entries = table(AuditEntry)


class AuditRow(NamedTuple):
    """A row of `audit_entries`."""

    id: str
    workspace_id: str | None  # None: it concerns the installation
    actor: str  # the id of a key or user; cli, system
    actor_label: str | None  # the masked key, or the e-mail address
    action: str  # keys.create
    object_id: str
    address: str | None
    before: str | None  # JSON object: the changed fields
    after: str | None
    created_at: int  # Unix milliseconds


_SELECT = select(*columns(AuditRow, _entries))


@dataclass(frozen=True, slots=True)
class Actor:
    """The id of the key or user that acts (`cli` for commands on the database), and its address."""

    id: str
    label: str | None = None
    address: str | None = None


CLI = Actor("cli", "command line")


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A change of one object. `before` and `after` contain only the changed fields."""

    action: str  # keys.create
    object_id: str
    workspace_id: str | None  # None: it concerns the installation
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def record(connection: Connection, actor: Actor, change: AuditedChange) -> None:
    """Add an entry, in the caller's transaction."""
    connection.execute(
        insert(_entries).values(
            id=new_id("aud_"),
            workspace_id=change.workspace_id,
            actor=actor.id,
            actor_label=actor.label,
            action=change.action,
            object_id=change.object_id,
            address=actor.address,
            before=_text(change.before),
            after=_text(change.after),
            created_at=now_ms(),
        )
    )


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Json, Json]:
    """Return the old and the new values of the fields of `after` that changed."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """A filter of audit entries."""

    workspace_ids: Collection[str] | None  # None = all, and the installation's
    action: str | None = None  # keys.create, or keys for all about keys
    actor: str | None = None
    object_id: str | None = None
    since: int | None = None
    until: int | None = None


def list_entries(
    connection: Connection, which: AuditFilter, *, limit: int, after: str | None = None
) -> Sequence[AuditRow]:
    """Return entries, newest first; `after` is the last id of the page before."""
    query = _SELECT.order_by(_entries.c.id.desc()).limit(limit)
    if which.workspace_ids is not None:
        query = query.where(_entries.c.workspace_id.in_(which.workspace_ids))
    if which.action is not None:
        all_about = _entries.c.action.startswith(f"{which.action}.", autoescape=True)
        query = query.where(or_(_entries.c.action == which.action, all_about))
    if which.actor is not None:
        query = query.where(_entries.c.actor == which.actor)
    if which.object_id is not None:
        query = query.where(_entries.c.object_id == which.object_id)
    if which.since is not None:
        query = query.where(_entries.c.created_at >= which.since)
    if which.until is not None:
        query = query.where(_entries.c.created_at < which.until)
    if after is not None:
        query = query.where(_entries.c.id < after)
    return [AuditRow(*row) for row in connection.execute(query)]


def _text(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    open_values = {
        name: value
        for name, value in values.items()
        if not any(word in name for word in SECRET_WORDS)
    }
    return orjson.dumps(open_values).decode()
