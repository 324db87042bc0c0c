"""The workspaces and the usage that a caller may see."""

from collections.abc import Collection
from dataclasses import dataclass

from api.core.services import Services
from broker import accounts
from broker.accounts import CallerKind, Principal, Role
from broker.errors import NotFoundError, PermissionDeniedError


async def find_workspace_id(
    services: Services, principal: Principal, workspace_ref: str | None
) -> str:
    """Return the id of a workspace (by id or slug); by default the caller's own.

    Raises NotFoundError for a workspace that does not exist, or that the caller does not
    administer.
    """
    if workspace_ref is None:
        return principal.workspace_id
    row = await services.database.read(accounts.find_workspace, workspace_ref)
    if row is None or not principal.administers(row.id):
        raise NotFoundError(f"There is no workspace {workspace_ref}.", param="workspace_id")
    return row.id


async def find_workspace_ids(
    services: Services, principal: Principal, workspace_ref: str | None
) -> list[str] | None:
    """Return the ids of the workspaces to list; None for all. Raises NotFoundError."""
    if workspace_ref is None and principal.everywhere:
        return None
    return [await find_workspace_id(services, principal, workspace_ref)]


@dataclass(frozen=True, slots=True)
class UsageScope:
    """The workspaces and keys whose usage is visible; None for all."""

    workspace_ids: Collection[str] | None
    key_ids: Collection[str] | None


def find_usage_scope(principal: Principal, workspace_id: str | None = None) -> UsageScope:
    """Return the usage that a caller may see, all of it or that of one workspace.

    An inference key sees its own usage; an administrator of a workspace sees all usage of it.
    Raises PermissionDeniedError for another workspace.
    """
    if principal.everywhere:
        return UsageScope(None if workspace_id is None else [workspace_id], None)
    if workspace_id not in (None, principal.workspace_id):
        raise PermissionDeniedError(
            f"This key sees the usage of its own workspace, {principal.workspace_id}: ask for that "
            f"of {workspace_id} with a management key of it, or of the installation.",
            param="workspace_id",
        )
    sees_all = principal.kind is not CallerKind.INFERENCE and principal.role.reaches(Role.VIEWER)
    keys = None if sees_all else [principal.api_key_id]
    return UsageScope([principal.workspace_id], keys)
