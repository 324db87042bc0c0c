"""/workspaces and their members; /organization/members: all users."""

from typing import Annotated, TypeAlias

import orjson
from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.responses import Response

from api.accounts import views
from api.accounts.response_schemas import (
    AcceptedDeletion,
    AddedMembers,
    Deleted,
    MemberPage,
    OrganizationMemberPage,
    RemovedMembers,
    WorkspaceAnswer,
    WorkspacePage,
)
from api.accounts.schemas import (
    Limit,
    MembersBody,
    Offset,
    WorkspaceBody,
    WorkspaceChangesBody,
    WorkspaceRef,
)
from api.core.bodies import Route
from api.core.dependencies import Admin, AdminViewer, CallingActor, ServicesDep, require_operator
from api.core.errors import json_response
from api.core.scope import find_workspace_id
from api.core.services import Services
from broker import accounts
from broker.accounts import Principal, Role, WorkspaceRow, users
from broker.administration import carry_out
from broker.administration import workspaces as administration
from broker.completion import Json
from broker.errors import PermissionDeniedError

router = APIRouter(route_class=Route, tags=["workspaces"])
IN_SETTINGS = (
    *("default_text_model", "default_image_model", "default_provider_sort"),
    *("store", "retention_days"),
)
"""Fields that are stored in the column `settings`."""
OPERATORS_ONLY = ("unlimited", "weight", "requests_per_minute", "max_concurrent_jobs", "settings")
"""Fields that a workspace may not change itself."""

WorkspacesOperator: TypeAlias = Annotated[Principal, Depends(require_operator("makes workspaces"))]
MembersOperator: TypeAlias = Annotated[Principal, Depends(require_operator("sees everyone"))]


@router.post("/workspaces", status_code=201, response_model=WorkspaceAnswer)
async def create_workspace(
    services: ServicesDep, _: WorkspacesOperator, actor: CallingActor, body: WorkspaceBody
) -> Response:
    """Create a workspace. This needs a management key of the installation."""
    columns = _columns_of(body.model_dump(exclude_unset=True), None)
    row = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, columns)
    )
    return json_response({"data": views.render_workspace(row)}, 201)


@router.get("/workspaces", response_model=WorkspacePage)
async def list_workspaces(
    services: ServicesDep, principal: AdminViewer, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List the workspaces that the caller may administer, oldest first."""
    ids = await services.database.read(_list_reachable, principal)
    rows, total = await services.database.read(
        lambda connection: accounts.list_workspaces(connection, ids, offset=offset, limit=limit)
    )
    data = [views.render_workspace(row) for row in rows]
    return json_response({"data": data, "total_count": total})


@router.get("/workspaces/{id}", response_model=WorkspaceAnswer)
async def get_workspace(
    services: ServicesDep, principal: AdminViewer, workspace_ref: WorkspaceRef
) -> Response:
    """Show a workspace, by its id or slug."""
    row = await _find(services, principal, workspace_ref)
    return json_response({"data": views.render_workspace(row)})


@router.patch("/workspaces/{id}", response_model=WorkspaceAnswer)
async def change_workspace(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: WorkspaceChangesBody,
    workspace_ref: WorkspaceRef,
) -> Response:
    """Change a workspace. Absent fields stay."""
    fields = body.model_dump(exclude_unset=True)
    row = await _find(services, principal, workspace_ref)
    forbidden = [name for name in OPERATORS_ONLY if name in fields]
    if forbidden and not principal.everywhere:
        raise PermissionDeniedError(
            f"{forbidden[0]}: only a management key of the installation may set it.",
            param=forbidden[0],
        )
    columns = _columns_of(fields, row.settings)
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, columns)
    )
    return json_response({"data": views.render_workspace(changed)})


@router.delete("/workspaces/{id}", response_model=Deleted)
async def delete_workspace(
    services: ServicesDep, principal: Admin, actor: CallingActor, workspace_ref: WorkspaceRef
) -> Response:
    """Delete a workspace without active keys. Its jobs and its ledger stay."""
    row = await _find(services, principal, workspace_ref)
    _require_owner(principal, "Deleting a workspace")
    await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    return json_response({"deleted": True})


@router.delete("/workspaces/{id}/data", status_code=202, response_model=AcceptedDeletion)
async def forget_workspace_data(
    services: ServicesDep, principal: Admin, actor: CallingActor, workspace_ref: WorkspaceRef
) -> Response:
    """Delete the prompts and answers of ended jobs in the background. Ledger and usage stay."""
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
    return json_response(await _render_members(services, row.id, offset, limit))


@router.post("/workspaces/{id}/members/add", response_model=AddedMembers)
async def add_workspace_members(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: MembersBody,
    workspace_ref: WorkspaceRef,
) -> Response:
    """Add users to a workspace, or give members another role."""
    row = await _find(services, principal, workspace_ref)
    role = _role_of(principal)
    await carry_out(
        services.database,
        lambda connection: administration.add_members(
            connection,
            actor,
            row.id,
            body.user_ids,
            body.role,
            by=role,
            by_address=principal.everywhere,
        ),
    )
    shown = await _render_members(services, row.id, 0, 100)
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
    """Remove users from a workspace."""
    row = await _find(services, principal, workspace_ref)
    role = _role_of(principal)
    await carry_out(
        services.database,
        lambda connection: administration.remove_members(
            connection, actor, row.id, body.user_ids, by=role
        ),
    )
    return json_response({"removed_count": len(body.user_ids)})


@router.get("/organization/members", response_model=OrganizationMemberPage)
async def list_organization_members(
    services: ServicesDep, _: MembersOperator, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List all users. This needs a management key of the installation."""
    rows, total = await services.database.read(
        lambda connection: users.list_users(connection, offset=offset, limit=limit)
    )
    data = [views.render_organization_member(row) for row in rows]
    return json_response({"data": data, "total_count": total})


def _require_owner(principal: Principal, action: str) -> None:
    """Raise PermissionDeniedError unless the caller owns the workspace or is an operator."""
    if not (principal.everywhere or principal.role is Role.OWNER):
        raise PermissionDeniedError(
            f"{action} needs the role owner, or a management key of the installation; "
            f"yours is {principal.role.value}."
        )


async def _find(services: Services, principal: Principal, workspace_ref: str) -> WorkspaceRow:
    workspace_id = await find_workspace_id(services, principal, workspace_ref)
    return await services.database.read(administration.get_workspace, workspace_id)


async def _render_members(services: Services, workspace_id: str, offset: int, limit: int) -> Json:
    rows, total = await services.database.read(
        lambda connection: users.list_members(connection, workspace_id, offset=offset, limit=limit)
    )
    return {"data": [views.render_member(row) for row in rows], "total_count": total}


def _list_reachable(connection: Connection, principal: Principal) -> list[str] | None:
    """Return the ids of the workspaces that the caller may administer; None for all."""
    if principal.everywhere:
        return None
    if principal.kind is accounts.CallerKind.SESSION:
        return [each.id for each in users.list_memberships(connection, principal.user_id or "")]
    return [principal.workspace_id]


def _role_of(principal: Principal) -> Role:
    return Role.OWNER if principal.everywhere else principal.role


def _columns_of(fields: Json, settings: str | None) -> Json:
    """Return the fields of a body as columns of `workspaces`, with the changed settings."""
    columns = dict(fields)
    changed: Json = orjson.loads(settings) if settings else {}
    changed |= columns.pop("settings", {})
    changed |= {name: columns.pop(name) for name in IN_SETTINGS if name in columns}
    changed = {name: value for name, value in changed.items() if value is not None}
    if changed or settings:
        columns["settings"] = orjson.dumps(changed).decode()
    return columns
