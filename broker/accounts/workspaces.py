"""Workspaces, and what an installation begins with. Deleted workspaces keep their rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from broker.accounts.keys import NewKey, create_key, hash_key, is_mistyped
from broker.clock import now_ms
from broker.ids import new_id
from broker.storage.tables import ApiKey, Workspace, table

DEFAULT_WORKSPACE = "ws_default"

_workspaces = table(Workspace)
_alive = _workspaces.c.deleted_at.is_(None)


def create_workspace(
    connection: Connection,
    name: str,
    *,
    unlimited: bool,
    workspace_id: str | None = None,
    **columns: Any,
) -> str:
    """Insert a workspace and return its id. Its slug is made of its name, unless given.

    Raises IntegrityError where a given slug is taken.
    """
    workspace_id = workspace_id or new_id("ws_")
    now = now_ms()
    row = {"id": workspace_id, "name": name, "unlimited": unlimited, "created_at": now}
    row |= {"slug": None, "weight": 1, "updated_at": now} | columns
    row["slug"] = row["slug"] or _free_slug(connection, name, workspace_id)
    connection.execute(insert(_workspaces).values(row))
    return workspace_id


def find_workspace_id(connection: Connection, wanted: str) -> str | None:
    """Return the id of the workspace with this id or slug, or the oldest with this name."""
    query = (
        select(_workspaces.c.id)
        .where(
            _alive,
            or_(
                _workspaces.c.id == wanted,
                _workspaces.c.slug == wanted,
                _workspaces.c.name == wanted,
            ),
        )
        .order_by(
            (_workspaces.c.id == wanted).desc(),
            (_workspaces.c.slug == wanted).desc(),
            _workspaces.c.created_at,
            _workspaces.c.id,
        )
    )
    return connection.execute(query.limit(1)).scalar_one_or_none()


def find_workspace(connection: Connection, wanted: str) -> Any | None:
    """Return the row of the workspace with this id or slug."""
    named = or_(_workspaces.c.id == wanted, _workspaces.c.slug == wanted)
    query = select(_workspaces).where(_alive, named).order_by((_workspaces.c.id == wanted).desc())
    return connection.execute(query.limit(1)).first()


def list_workspaces(
    connection: Connection, ids: Sequence[str] | None, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[Any], int]:
    """Return a page of those workspaces (None: of all), oldest first, and how many there are."""
    which = [_alive] if ids is None else [_alive, _workspaces.c.id.in_(ids)]
    total = connection.execute(select(func.count()).select_from(_workspaces).where(*which))
    page = select(_workspaces).where(*which).order_by(_workspaces.c.created_at, _workspaces.c.id)
    rows = connection.execute(page.offset(offset).limit(limit)).all()
    return rows, int(total.scalar_one())


def change_workspace(connection: Connection, workspace_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a workspace. Raises IntegrityError where a slug is taken."""
    connection.execute(
        update(_workspaces)
        .where(_workspaces.c.id == workspace_id)
        .values({**changes, "updated_at": now_ms()})
    )


def delete_workspace(connection: Connection, workspace_id: str) -> None:
    """Close a workspace: its keys open nothing any more, its slug is free again."""
    change_workspace(connection, workspace_id, {"deleted_at": now_ms(), "slug": None})


def slug_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "workspace"


def _free_slug(connection: Connection, name: str, workspace_id: str) -> str:
    plain = slug_of(name)
    taken = select(_workspaces.c.id).where(_workspaces.c.slug == plain)
    if connection.execute(taken).first() is None:
        return plain
    return f"{plain}-{workspace_id[-10:].lower()}"


FIRST_START_LOCK = 72_618_311  # any number, the same everywhere

_keys = table(ApiKey)


def ensure_first_start(connection: Connection, bootstrap_key: str) -> NewKey | None:
    """Make the default workspace and its key; return the key only when it was made here and now.

    A `bootstrap_key` is registered as it is (and not returned: its owner knows it). Raises
    SystemExit for one whose checksum does not fit: it would open nothing.
    """
    if is_mistyped(bootstrap_key):
        raise SystemExit("waybill: WAYBILL_BOOTSTRAP_KEY is mistyped: its checksum does not fit")
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
