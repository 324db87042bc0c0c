"""Administer workspaces and their members, each change with its audit entry."""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from broker import accounts
from broker.accounts import (
    DEFAULT_WORKSPACE,
    CallerKind,
    KeyFilter,
    Role,
    WorkspaceRow,
    audit,
    users,
)
from broker.accounts.audit import Actor, AuditedChange
from broker.administration.keys import change as change_key
from broker.administration.keys import check_name, check_slug
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import ConflictError, InvalidRequestError, NotFoundError, PermissionDeniedError

MAX_KEYS = 10_000  # of one workspace


def create(connection: Connection, actor: Actor, columns: Json) -> WorkspaceRow:
    """Create a workspace and return its row."""
    _check(columns)
    others = dict(columns)
    name, unlimited = others.pop("name"), others.pop("unlimited", False)
    workspace_id = accounts.create_workspace(
        connection, name, unlimited=unlimited, created_by=actor.id, **others
    )
    row = get_workspace(connection, workspace_id)
    details = {"name": name, "slug": row.slug, "unlimited": unlimited, **others}
    audit.record(
        connection, actor, AuditedChange("workspaces.create", row.id, row.id, after=details)
    )
    return row


def change(connection: Connection, actor: Actor, row: WorkspaceRow, changes: Json) -> WorkspaceRow:
    """Set columns of a workspace and return its new row."""
    _check(changes)
    accounts.change_workspace(connection, row.id, changes)
    before, after = audit.compare(row._asdict(), changes)
    audit.record(
        connection, actor, AuditedChange("workspaces.update", row.id, row.id, before, after)
    )
    return get_workspace(connection, row.id)


def delete(connection: Connection, actor: Actor, row: WorkspaceRow) -> None:
    """Delete a workspace that has no active keys. Its jobs and its ledger stay.

    Keys of signed-in people do not count: they end with their membership.
    """
    if row.id == DEFAULT_WORKSPACE:
        raise ConflictError("The default workspace stays: keys that name none belong to it.")
    keys = accounts.find_keys(
        connection, KeyFilter([row.id], include_expired=False), limit=MAX_KEYS
    )
    active = [key for key in keys if key.kind is not CallerKind.SESSION]
    if active:
        raise ConflictError(
            f"This workspace has {len(active)} active keys: disable or delete them first."
        )
    accounts.delete_workspace(connection, row.id)
    details = {"name": row.name, "slug": row.slug}
    audit.record(
        connection, actor, AuditedChange("workspaces.delete", row.id, row.id, before=details)
    )


def delete_contents(connection: Connection, actor: Actor, row: WorkspaceRow) -> None:
    """Delete the prompts and answers of all terminal jobs of a workspace until now.

    The leader of the workers deletes them in small groups. Usage and ledger stay.
    """
    settings = orjson.loads(row.settings) if row.settings else {}
    now = now_ms()
    details = orjson.dumps({**settings, "forget_before": now}).decode()
    accounts.change_workspace(connection, row.id, {"settings": details})
    change = AuditedChange("workspaces.forget", row.id, row.id, after={"forget_before": now})
    audit.record(connection, actor, change)


def _check(columns: Json) -> None:
    if "name" in columns:
        check_name(columns["name"])
    if columns.get("slug") is not None:
        check_slug(columns["slug"])


def get_workspace(connection: Connection, id_or_slug: str) -> WorkspaceRow:
    """Return the workspace with this id or slug. Raises NotFoundError."""
    row = accounts.find_workspace(connection, id_or_slug)
    if row is None:
        raise NotFoundError(f"There is no workspace {id_or_slug}.", param="id")
    return row


def add_members(
    connection: Connection,
    actor: Actor,
    workspace_id: str,
    user_ids: Sequence[str],
    role: Role,
    *,
    by: Role = Role.OWNER,
    by_address: bool = False,
) -> None:
    """Give users a role in a workspace. The actor may give its own role `by` at the most.

    Only with `by_address` may e-mail addresses stand for ids. Other callers are refused before an
    address is looked up, so that the answer does not reveal which addresses are users.
    """
    if not by_address and any("@" in each for each in user_ids):
        raise PermissionDeniedError(
            "Only a management key of the installation names users by e-mail address: ask the "
            "person or the operator for the id (usr_…).",
            param="user_ids",
        )
    for user_id in user_ids:
        user = users.find_user(connection, user_id)
        if user is None:
            raise NotFoundError(f"There is no user {user_id}.", param="user_ids")
        before = users.find_role(connection, workspace_id, user.id)
        if before is role:
            continue
        _check_owners(connection, workspace_id, before, role, by)
        users.add_member(connection, workspace_id, user.id, role)
        details = None if before is None else {"role": before.value}
        change = AuditedChange("users.add", user.id, workspace_id, details, {"role": role.value})
        audit.record(connection, actor, change)


def remove_members(
    connection: Connection,
    actor: Actor,
    workspace_id: str,
    user_ids: Sequence[str],
    *,
    by: Role = Role.OWNER,
) -> None:
    """Remove users from a workspace, and disable their management keys of it.

    Raises ConflictError for a user who has active inference keys there.
    """
    for user_id in user_ids:
        before = users.find_role(connection, workspace_id, user_id)
        if before is None:
            raise NotFoundError(f"{user_id} is no member of this workspace.", param="user_ids")
        created = KeyFilter([workspace_id], include_expired=False, created_by=user_id)
        keys = accounts.find_keys(connection, created, limit=MAX_KEYS)
        active = [key for key in keys if key.kind is CallerKind.INFERENCE]
        if active:
            names = ", ".join(key.name for key in active[:5])
            raise ConflictError(
                f"{user_id} has active keys in this workspace ({names}): disable or delete them "
                "first, so that nothing goes on in the name of somebody who has left.",
                param="user_ids",
            )
        _check_owners(connection, workspace_id, before, None, by)
        users.remove_member(connection, workspace_id, user_id)
        change = AuditedChange("users.remove", user_id, workspace_id, before={"role": before.value})
        audit.record(connection, actor, change)
        for key in keys:  # keys of an operator continue to work
            if not _is_operator(connection, user_id):
                change_key(connection, actor, key, {"disabled": True})


def _is_operator(connection: Connection, user_id: str) -> bool:
    user = users.find_user(connection, user_id)
    return user is not None and user.is_operator


def _check_owners(
    connection: Connection, workspace_id: str, before: Role | None, after: Role | None, by: Role
) -> None:
    if Role.OWNER in (before, after) and by is not Role.OWNER:
        raise PermissionDeniedError("Only an owner may make, change or remove an owner.")
    if before is Role.OWNER and users.count_owners(connection, workspace_id) == 1:
        raise InvalidRequestError(
            "This is the workspace's last owner: name another first.", param="user_ids"
        )
