"""Whose usage a caller may see."""

from collections.abc import Collection
from dataclasses import dataclass

from broker.accounts import CallerKind, Principal, Role
from broker.errors import PermissionDeniedError


@dataclass(frozen=True, slots=True)
class UsageScope:
    """Workspaces and keys; None = all."""

    workspace_ids: Collection[str] | None
    key_ids: Collection[str] | None


def usage_scope(principal: Principal, workspace_id: str | None = None) -> UsageScope:
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
