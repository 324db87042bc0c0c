"""The audit log: who changed what, when, from where. Rows are added, and never changed.

`note` writes in the transaction of the change itself, so that neither is there without the other.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, or_, select

from broker.clock import now_ms
from broker.completion import Json
from broker.ids import new_id
from broker.storage.tables import AuditEntry, table

SECRET_WORDS = ("secret", "password", "token", "hash", "sealed")
"""A name with one of these in it is left out of what is noted."""

_entries = table(AuditEntry)


@dataclass(frozen=True, slots=True)
class Actor:
    """The id of the key or user that acts (`cli` for commands on the database), and its address."""

    id: str
    label: str | None = None
    address: str | None = None


CLI = Actor("cli", "command line")


@dataclass(frozen=True, slots=True)
class Act:
    """One change of one object; `before` and `after` hold only changed fields."""

    action: str  # keys.create
    object_id: str
    workspace_id: str | None  # None: it concerns the installation
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def note(connection: Connection, actor: Actor, act: Act) -> None:
    """Add an entry, in the caller's transaction."""
    connection.execute(
        insert(_entries).values(
            id=new_id("aud_"),
            workspace_id=act.workspace_id,
            actor=actor.id,
            actor_label=actor.label,
            action=act.action,
            object_id=act.object_id,
            address=actor.address,
            before=_text(act.before),
            after=_text(act.after),
            created_at=now_ms(),
        )
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Json, Json]:
    """Return what changed: the old values and the new ones."""
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
) -> Sequence[Any]:
    """Return entries, newest first; `after` is the last id seen."""
    query = select(_entries).order_by(_entries.c.id.desc()).limit(limit)
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
    return connection.execute(query).all()


def _text(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    open_values = {
        name: value
        for name, value in values.items()
        if not any(word in name for word in SECRET_WORDS)
    }
    return orjson.dumps(open_values).decode()
