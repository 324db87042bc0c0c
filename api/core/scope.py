"""The workspaces, and the usage, that a caller may see."""

from collections.abc import Collection
from dataclasses import dataclass

from api.core.services import Services
from broker import accounts
from broker.accounts import CallerKind, Principal, Role
from broker.errors import NotFoundError, PermissionDeniedError


async def find_workspace_id(services: Services, principal: Principal, wanted: str | None) -> str:
    """Return the id of the workspace that was asked for (by id or slug), or the caller's own.

    Raises NotFoundError for one that is not there, or not theirs.
    """
    if wanted is None:
        return principal.workspace_id
    row = await services.database.read(accounts.find_workspace, wanted)
    if row is None or not principal.administers(row.id):
        raise NotFoundError(f"There is no workspace {wanted}.", param="workspace_id")
    return str(row.id)


async def find_workspace_ids(
    services: Services, principal: Principal, wanted: str | None
) -> list[str] | None:
    """Return the workspaces a list is about; None = all there are."""
    if wanted is None and principal.everywhere:
        return None
    return [await find_workspace_id(services, principal, wanted)]


@dataclass(frozen=True, slots=True)
class UsageScope:
    """Workspaces and keys; None = all."""

    workspace_ids: Collection[str] | None
    key_ids: Collection[str] | None


def find_usage_scope(principal: Principal, workspace_id: str | None = None) -> UsageScope:
    """Return what this caller may see, narrowed to one workspace where that is asked.

    A key that runs completions sees its own usage; whoever administers a workspace sees all of it.
    Raises PermissionDeniedError for somebody else's workspace.
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
