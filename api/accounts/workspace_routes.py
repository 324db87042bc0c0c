"""/workspaces and their members; /organization/members: everyone."""

from typing import Annotated, Any, TypeAlias

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api.accounts import views
from api.accounts.response_schemas import AddedMembers, Deleted, MemberPage, RemovedMembers
from api.accounts.schemas import (
    MembersBody,
    WorkspaceBody,
    WorkspaceChangesBody,
    WorkspaceRef,
)
from api.core.bodies import Route
from api.core.dependencies import Admin, AdminViewer, CallingActor, ServicesDep, require_operator
from api.core.errors import json_response
from api.core.scope import workspace_of
from api.core.services import Services
from broker import accounts
from broker.accounts import Principal, Role, users
from broker.administration import carry_out
from broker.administration import workspaces as administration
from broker.completion import Json
from broker.errors import PermissionDeniedError

router = APIRouter(route_class=Route, tags=["workspaces"])
IN_SETTINGS = (
    *("default_text_model", "default_image_model", "default_provider_sort"),
    *("store", "retention_days"),
)
OPERATORS_ONLY = ("unlimited", "weight", "requests_per_minute", "max_concurrent_jobs", "settings")
"""Settings that a workspace must not change itself."""

WorkspacesOperator: TypeAlias = Annotated[Principal, Depends(require_operator("makes workspaces"))]
MembersOperator: TypeAlias = Annotated[Principal, Depends(require_operator("sees everyone"))]

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("/workspaces", status_code=201)
async def create_workspace(
    services: ServicesDep, _: WorkspacesOperator, actor: CallingActor, body: WorkspaceBody
) -> Response:
    """Create a workspace (with a management key of the installation)."""
    asked = body.model_dump(exclude_unset=True)
    columns = _columns(asked, None)
    row = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, columns)
    )
    return json_response({"data": views.workspace(row)}, 201)


@router.get("/workspaces")
async def list_workspaces(
    services: ServicesDep, principal: AdminViewer, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List the workspaces in reach, oldest first."""
    ids = await services.database.read(_in_reach, principal)
    rows, total = await services.database.read(_workspace_page, ids, offset, limit)
    data = [views.workspace(row) for row in rows]
    return json_response({"data": data, "total_count": total})


@router.get("/workspaces/{id}")
async def get_workspace(
    services: ServicesDep, principal: AdminViewer, workspace_ref: WorkspaceRef
) -> Response:
    """Show a workspace, by its id or slug."""
    row = await _find(services, principal, workspace_ref)
    return json_response({"data": views.workspace(row)})


@router.patch("/workspaces/{id}")
async def change_workspace(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: WorkspaceChangesBody,
    workspace_ref: WorkspaceRef,
) -> Response:
    """Change a workspace: what is not named stays."""
    asked = body.model_dump(exclude_unset=True)
    row = await _find(services, principal, workspace_ref)
    own = [name for name in OPERATORS_ONLY if name in asked]
    if own and not principal.everywhere:
        raise PermissionDeniedError(
            f"{own[0]}: only a management key of the installation may set it.", param=own[0]
        )
    columns = _columns(asked, row.settings)
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, columns)
    )
    return json_response({"data": views.workspace(changed)})


@router.delete("/workspaces/{id}", response_model=Deleted)
async def delete_workspace(
    services: ServicesDep, principal: Admin, actor: CallingActor, workspace_ref: WorkspaceRef
) -> Response:
    """Close a workspace without active keys. Its jobs and its ledger stay."""
    row = await _find(services, principal, workspace_ref)
    _require_owner(principal, "Deleting a workspace")
    await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    return json_response({"deleted": True})


@router.delete("/workspaces/{id}/data", status_code=202)
async def forget_workspace_data(
    services: ServicesDep, principal: Admin, actor: CallingActor, workspace_ref: WorkspaceRef
) -> Response:
    """Delete prompts and answers of its ended jobs, in the background; ledger and usage stay."""
    row = await _find(services, principal, workspace_ref)
    _require_owner(principal, "Deleting a workspace's data")
    await carry_out(
        services.database, lambda connection: administration.delete_contents(connection, actor, row)
    )
    return json_response({"accepted": True}, 202)


@router.get("/workspaces/{id}/members", response_model=MemberPage)
async def list_workspace_members(
    services: ServicesDep,
    principal: AdminViewer,
    workspace_ref: WorkspaceRef,
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """List a workspace's members with their roles."""
    row = await _find(services, principal, workspace_ref)
    return json_response(await _members(services, row.id, offset, limit))


@router.post("/workspaces/{id}/members/add", response_model=AddedMembers)
async def add_workspace_members(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: MembersBody,
    workspace_ref: WorkspaceRef,
) -> Response:
    """Make users members, or give members another role.

    `user_ids` are ids; a management key of the installation may name e-mail addresses, too.
    """
    row = await _find(services, principal, workspace_ref)
    by = _rank(principal)
    await carry_out(
        services.database,
        lambda connection: administration.add_members(
            connection,
            actor,
            row.id,
            body.user_ids,
            body.role,
            by=by,
            by_address=principal.everywhere,
        ),
    )
    shown = await _members(services, row.id, 0, 100)
    added = [each for each in shown["data"] if each["user_id"] in body.user_ids]
    return json_response({"data": added, "added_count": len(added)})


@router.post("/workspaces/{id}/members/remove", response_model=RemovedMembers)
async def remove_workspace_members(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: MembersBody,
    workspace_ref: WorkspaceRef,
) -> Response:
    """Take users out of a workspace."""
    row = await _find(services, principal, workspace_ref)
    by = _rank(principal)
    await carry_out(
        services.database,
        lambda connection: administration.remove_members(
            connection, actor, row.id, body.user_ids, by=by
        ),
    )
    return json_response({"removed_count": len(body.user_ids)})


@router.get("/organization/members")
async def list_organization_members(
    services: ServicesDep, _: MembersOperator, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List everyone who may sign in (with a management key of the installation)."""
    rows, total = await services.database.read(user_page, offset, limit)
    data = [views.organization_member(row) for row in rows]
    return json_response({"data": data, "total_count": total})


def _require_owner(principal: Principal, action: str) -> None:
    """Raise PermissionDeniedError unless the caller owns the workspace or is an operator."""
    if not (principal.everywhere or principal.role is Role.OWNER):
        raise PermissionDeniedError(
            f"{action} needs the role owner, or a management key of the installation; "
            f"yours is {principal.role.value}."
        )


async def _find(services: Services, principal: Principal, wanted: str) -> Any:
    found = await workspace_of(services, principal, wanted)
    return await services.database.read(accounts.find_workspace, found)


async def _members(services: Services, workspace_id: str, offset: int, limit: int) -> Json:
    rows, total = await services.database.read(_member_page, workspace_id, offset, limit)
    return {"data": [views.member(row) for row in rows], "total_count": total}


def _in_reach(connection: Any, principal: Principal) -> list[str] | None:
    if principal.everywhere:
        return None
    if principal.kind is accounts.CallerKind.SESSION:
        return [each.id for each in users.list_memberships(connection, principal.user_id or "")]
    return [principal.workspace_id]


def _workspace_page(connection: Any, ids: list[str] | None, offset: int, limit: int) -> Any:
    return accounts.list_workspaces(connection, ids, offset=offset, limit=limit)


def _member_page(connection: Any, workspace_id: str, offset: int, limit: int) -> Any:
    return users.list_members(connection, workspace_id, offset=offset, limit=limit)


def user_page(connection: Any, offset: int, limit: int) -> Any:
    return users.list_users(connection, offset=offset, limit=limit)


def _rank(principal: Principal) -> Role:
    return Role.OWNER if principal.everywhere else principal.role


def _columns(asked: Json, settings: str | None) -> Json:
    """Return what was asked as columns of `workspaces`; some are kept among the settings."""
    columns = dict(asked)
    kept: Json = orjson.loads(settings) if settings else {}
    kept |= columns.pop("settings", {})
    kept |= {name: columns.pop(name) for name in IN_SETTINGS if name in columns}
    kept = {name: value for name, value in kept.items() if value is not None}
    if kept or settings:
        columns["settings"] = orjson.dumps(kept).decode()
    return columns
