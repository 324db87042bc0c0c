"""Workspaces, and the first start of an installation. Deleted workspaces keep their rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select, update

from broker.accounts.keys import NewKey, create_key, hash_key, is_mistyped
from broker.clock import now_ms
from broker.ids import new_id
from broker.storage.tables import ApiKey, Workspace, columns, table

DEFAULT_WORKSPACE = "ws_default"

_workspaces = table(Workspace)
_exists = _workspaces.c.deleted_at.is_(None)


class WorkspaceRow(NamedTuple):
    """A row of `workspaces`. Times are Unix milliseconds."""

    id: str
    name: str
    slug: str | None  # None once deleted
    description: str | None
    unlimited: bool
    weight: int
    requests_per_minute: int | None
    max_concurrent_jobs: int | None
    settings: str | None  # JSON object
    created_by: str | None
    created_at: int
    updated_at: int | None


_SELECT = select(*columns(WorkspaceRow, _workspaces)).where(_exists)


def create_workspace(
    connection: Connection,
    name: str,
    *,
    unlimited: bool,
    workspace_id: str | None = None,
    **columns: Any,
) -> str:
    """Insert a workspace and return its id. The slug is made of the name unless it is given.

    Raises IntegrityError if a given slug is taken.
    """
    workspace_id = workspace_id or new_id("ws_")
    now = now_ms()
    row = {"id": workspace_id, "name": name, "unlimited": unlimited, "created_at": now}
    row |= {"slug": None, "weight": 1, "updated_at": now} | columns
    row["slug"] = row["slug"] or _free_slug(connection, name, workspace_id)
    connection.execute(insert(_workspaces).values(row))
    return workspace_id


def find_workspace_id(connection: Connection, id_slug_or_name: str) -> str | None:
    """Return the id of the workspace with this id or slug, or the oldest with this name."""
    query = (
        select(_workspaces.c.id)
        .where(
            _exists,
            or_(
                _workspaces.c.id == id_slug_or_name,
                _workspaces.c.slug == id_slug_or_name,
                _workspaces.c.name == id_slug_or_name,
            ),
        )
        .order_by(
            (_workspaces.c.id == id_slug_or_name).desc(),
            (_workspaces.c.slug == id_slug_or_name).desc(),
            _workspaces.c.created_at,
            _workspaces.c.id,
        )
    )
    return connection.execute(query.limit(1)).scalar_one_or_none()


def find_workspace(connection: Connection, id_or_slug: str) -> WorkspaceRow | None:
    """Return the workspace with this id or slug, or None if there is none."""
    has_id = _workspaces.c.id == id_or_slug
    query = _SELECT.where(or_(has_id, _workspaces.c.slug == id_or_slug)).order_by(has_id.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else WorkspaceRow(*row)


def list_workspaces(
    connection: Connection, ids: Sequence[str] | None, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[WorkspaceRow], int]:
    """Return a page of these workspaces (None: of all), oldest first, and their total number."""
    query = _SELECT if ids is None else _SELECT.where(_workspaces.c.id.in_(ids))
    total = connection.execute(select(func.count()).select_from(query.subquery()))
    page = query.order_by(_workspaces.c.created_at, _workspaces.c.id).offset(offset).limit(limit)
    return [WorkspaceRow(*row) for row in connection.execute(page)], int(total.scalar_one())


def change_workspace(connection: Connection, workspace_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a workspace. Raises IntegrityError if a slug is taken."""
    connection.execute(
        update(_workspaces)
        .where(_workspaces.c.id == workspace_id)
        .values({**changes, "updated_at": now_ms()})
    )


def delete_workspace(connection: Connection, workspace_id: str) -> None:
    """Delete a workspace: its keys stop working, and its slug is free again."""
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
    """Create the default workspace and its key; return the key if this call created it.

    A `bootstrap_key` is stored as it is, and not returned: its owner knows it. Raises SystemExit if
    its checksum is wrong, because such a key would never work.
    """
    if is_mistyped(bootstrap_key):
        raise SystemExit("waybill: WAYBILL_BOOTSTRAP_KEY is mistyped: its checksum does not fit")
    if connection.dialect.name == "postgresql":  # processes that start at once wait for each other
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
