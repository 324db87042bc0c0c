"""Presets changed, each act with its entry in the audit log; what is in them is not noted."""

from sqlalchemy import Connection

from broker import presets
from broker.accounts import audit
from broker.accounts.audit import Act, Actor
from broker.administration.changes import only
from broker.presets import NewVersion, PresetChoice, PresetName


def save(connection: Connection, actor: Actor, wish: NewVersion) -> None:
    """Keep a new version, which calls get from now on."""
    only(presets.save_many(connection, [wish]))
    _note(connection, actor, "presets.save", wish.name)


def choose(connection: Connection, actor: Actor, choice: PresetChoice) -> None:
    """Let calls get another version."""
    only(presets.choose_many(connection, [choice]))
    act = Act("presets.choose", choice.name.slug, choice.name.workspace_id,
              after={"version": choice.version})  # fmt: skip
    audit.note(connection, actor, act)


def delete(connection: Connection, actor: Actor, name: PresetName) -> bool:
    """Delete a preset with all its versions; return whether there was one."""
    was_there: bool = only(presets.delete_many(connection, [name]))
    if was_there:
        _note(connection, actor, "presets.delete", name)
    return was_there


def _note(connection: Connection, actor: Actor, action: str, name: PresetName) -> None:
    audit.note(connection, actor, Act(action, name.slug, name.workspace_id))
