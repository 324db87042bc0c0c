"""Change presets, each change with its audit entry, which leaves out the content."""

from sqlalchemy import Connection

from broker import presets
from broker.accounts import audit
from broker.accounts.audit import Actor, AuditedChange
from broker.presets import NewVersion, PresetName


def save(connection: Connection, actor: Actor, new: NewVersion) -> None:
    """Save a version, which calls use from now on."""
    presets.save(connection, new)
    _note(connection, actor, "presets.save", new.name)


def choose(connection: Connection, actor: Actor, name: PresetName, version: int, now: int) -> None:
    """Let calls use another version."""
    presets.choose(connection, name, version, now)
    change = AuditedChange(
        "presets.choose", name.slug, name.workspace_id, after={"version": version}
    )
    audit.record(connection, actor, change)


def delete(connection: Connection, actor: Actor, name: PresetName) -> bool:
    """Delete a preset with all its versions; return whether there was one."""
    was_there = presets.delete(connection, name)
    if was_there:
        _note(connection, actor, "presets.delete", name)
    return was_there


def _note(connection: Connection, actor: Actor, action: str, name: PresetName) -> None:
    audit.record(connection, actor, AuditedChange(action, name.slug, name.workspace_id))
