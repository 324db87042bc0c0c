"""Members: users in workspaces, each with a role."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from broker.accounts.vocabulary import Role
from broker.clock import now_ms
from broker.storage.tables import Member, User, Workspace, table

_members = table(Member)
_users = table(User)
_workspaces = table(Workspace)


def add_member(connection: Connection, workspace_id: str, user_id: str, role: Role) -> None:
    """Make a user a member, or give a member another role."""
    where = (_members.c.workspace_id == workspace_id, _members.c.user_id == user_id)
    if connection.execute(update(_members).where(*where).values(role=role.value)).rowcount:
        return
    connection.execute(
        insert(_members).values(
            workspace_id=workspace_id, user_id=user_id, role=role.value, created_at=now_ms()
        )
    )


def remove_member(connection: Connection, workspace_id: str, user_id: str) -> None:
    connection.execute(
        delete(_members).where(
            _members.c.workspace_id == workspace_id, _members.c.user_id == user_id
        )
    )


def role_of(connection: Connection, workspace_id: str, user_id: str) -> Role | None:
    """Return a user's role in a workspace, or None where they are no member."""
    found = connection.execute(
        select(_members.c.role).where(
            _members.c.workspace_id == workspace_id, _members.c.user_id == user_id
        )
    ).scalar_one_or_none()
    return None if found is None else Role(found)


def list_members(
    connection: Connection, workspace_id: str, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[Any], int]:
    """Return a page of members with their names, and how many there are."""
    mine = _members.c.workspace_id == workspace_id
    rows = connection.execute(
        select(_members, _users.c.email, _users.c.name)
        .join(_users, _users.c.id == _members.c.user_id)
        .where(mine)
        .order_by(_members.c.created_at, _members.c.user_id)
        .offset(offset)
        .limit(limit)
    ).all()
    total = connection.execute(select(func.count()).select_from(_members).where(mine))
    return rows, int(total.scalar_one())


def count_owners(connection: Connection, workspace_id: str) -> int:
    owners = select(func.count()).where(
        _members.c.workspace_id == workspace_id, _members.c.role == Role.OWNER.value
    )
    return int(connection.execute(owners).scalar_one())


def memberships(connection: Connection, user_id: str) -> Sequence[Any]:
    """Return the workspaces a user is in (id, name, slug, unlimited, role), oldest first."""
    return connection.execute(
        select(
            _workspaces.c.id,
            _workspaces.c.name,
            _workspaces.c.slug,
            _workspaces.c.unlimited,
            _members.c.role,
        )
        .join(_workspaces, _workspaces.c.id == _members.c.workspace_id)
        .where(_members.c.user_id == user_id, _workspaces.c.deleted_at.is_(None))
        .order_by(_members.c.created_at, _workspaces.c.id)
    ).all()
