"""Workspaces and their keys. A key is shown once; only its SHA-256 is stored.

A plain hash suffices because a key is 256 random bits: there is nothing to guess from.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from broker.clock import now_ms
from broker.ids import new_id
from broker.tables import ApiKey, Workspace

DEFAULT_WORKSPACE = "ws_default"
KEY_PREFIX = "sk-wb-"
FIRST_START_LOCK = 72_618_311  # any number, the same everywhere

_workspaces: Any = Workspace.__table__  # type: ignore[attr-defined]
_keys: Any = ApiKey.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the key and the workspace that pays."""

    workspace_id: str
    api_key_id: str
    unlimited: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only time it can be read."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as lists show it."""

    id: str
    name: str
    label: str  # the key, masked
    workspace: str  # its name
    disabled: bool
    created_at: int


def create_workspace(
    connection: Connection, name: str, *, unlimited: bool, workspace_id: str | None = None
) -> str:
    """Insert a workspace and return its id."""
    workspace_id = workspace_id or new_id("ws_")
    connection.execute(
        insert(_workspaces).values(
            id=workspace_id, name=name, unlimited=unlimited, created_at=now_ms()
        )
    )
    return workspace_id


def create_key(
    connection: Connection, workspace_id: str, name: str, *, key: str | None = None
) -> NewKey:
    """Insert a key (a fresh one, unless `key` gives it) and return it."""
    key = key or KEY_PREFIX + secrets.token_urlsafe(32)
    key_id = new_id("key_")
    connection.execute(
        insert(_keys).values(
            id=key_id,
            workspace_id=workspace_id,
            name=name,
            label=mask(key),
            hash=hash_key(key),
            disabled=False,
            created_at=now_ms(),
        )
    )
    return NewKey(key_id, key)


def authenticate(connection: Connection, key: str) -> Principal | None:
    """Return whose key this is, or None where it is unknown or disabled."""
    found = connection.execute(
        select(_keys.c.id, _keys.c.workspace_id, _workspaces.c.unlimited)
        .join(_workspaces, _workspaces.c.id == _keys.c.workspace_id)
        .where(_keys.c.hash == hash_key(key), _keys.c.disabled.is_(False))
    ).first()
    return None if found is None else Principal(found.workspace_id, found.id, found.unlimited)


def find_workspace(connection: Connection, wanted: str) -> str | None:
    """Return the id of the oldest workspace with this id or name."""
    query = select(_workspaces.c.id).where(
        or_(_workspaces.c.id == wanted, _workspaces.c.name == wanted)
    )
    oldest_first = query.order_by(_workspaces.c.created_at, _workspaces.c.id)
    return connection.execute(oldest_first.limit(1)).scalar_one_or_none()


def list_keys(connection: Connection) -> list[KnownKey]:
    """Return the keys of every workspace, oldest first."""
    rows = connection.execute(
        select(
            _keys.c.id,
            _keys.c.name,
            _keys.c.label,
            _workspaces.c.name.label("workspace"),
            _keys.c.disabled,
            _keys.c.created_at,
        )
        .join(_workspaces, _workspaces.c.id == _keys.c.workspace_id)
        .order_by(_keys.c.created_at, _keys.c.id)
    )
    return [KnownKey(**row) for row in rows.mappings()]


def disable_key(connection: Connection, key_id: str) -> bool:
    """Disable a key; return whether there is one with this id. Jobs it submitted go on."""
    done = connection.execute(update(_keys).where(_keys.c.id == key_id).values(disabled=True))
    return bool(done.rowcount)


def ensure_first_start(connection: Connection, bootstrap_key: str) -> NewKey | None:
    """Make the default workspace and its key; return the key only when it was made here and now.

    A `bootstrap_key` is registered as it is (and not returned: its owner knows it).
    """
    if connection.dialect.name == "postgresql":  # processes that start together take turns
        connection.execute(select(func.pg_advisory_xact_lock(FIRST_START_LOCK)))
    if connection.execute(select(_workspaces.c.id).limit(1)).first() is None:
        create_workspace(connection, "default", unlimited=True, workspace_id=DEFAULT_WORKSPACE)
    if bootstrap_key:
        known = select(_keys.c.id).where(_keys.c.hash == hash_key(bootstrap_key))
        if connection.execute(known).first() is None:
            create_key(connection, DEFAULT_WORKSPACE, "bootstrap", key=bootstrap_key)
        return None
    if connection.execute(select(_keys.c.id).limit(1)).first() is not None:
        return None
    return create_key(connection, DEFAULT_WORKSPACE, "first key")


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def mask(key: str) -> str:
    """A key as lists show it: enough to recognise, too little to use."""
    return f"{key[:9]}…{key[-4:]}" if len(key) > 16 else "…"  # noqa: PLR2004
