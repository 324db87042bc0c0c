"""/workspaces and their members; /organization/members: everyone."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.accounts import views
from api.accounts.schemas import (
    MEMBERS_BODY,
    WORKSPACE_BODY,
    WORKSPACE_CHANGES_BODY,
    MembersRequest,
    WorkspaceChanges,
    WorkspaceRequest,
)
from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.scope import workspace_of
from api.core.services import Services, services_of
from broker import accounts
from broker.accounts import Principal, Role, users
from broker.accounts import users as members
from broker.administration import carry_out
from broker.administration import workspaces as administration
from broker.completion import Json
from broker.errors import PermissionDeniedError

router = APIRouter(tags=["workspaces"])
IN_SETTINGS = (
    *("default_text_model", "default_image_model", "default_provider_sort"),
    *("store", "retention_days"),
)
OPERATORS_ONLY = ("unlimited", "weight", "requests_per_minute", "max_concurrent_jobs", "settings")
"""What a workspace must not grant itself."""

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("/workspaces", status_code=201, openapi_extra=WORKSPACE_BODY)
async def create_workspace(request: Request) -> Response:
    """Make a workspace (with a management key of the installation)."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    if not principal.everywhere:
        raise PermissionDeniedError(
            "Only a management key of the installation makes workspaces: `waybill keys create "
            "--everywhere` makes one."
        )
    asked = (await reading.read_body(request, services, WorkspaceRequest)).model_dump(
        exclude_unset=True
    )
    actor, columns = actor_of(request, principal), _columns(asked, None)
    row = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, columns)
    )
    return json_response({"data": views.workspace(row)}, 201)


@router.get("/workspaces")
async def list_workspaces(request: Request, offset: Offset = 0, limit: Limit = 50) -> Response:
    """List the workspaces in reach, oldest first."""
    services = services_of(request)
    principal = await services.keyring.administrator(request, Role.VIEWER)
    ids = await services.database.read(_in_reach, principal)
    rows, total = await services.database.read(_workspace_page, ids, offset, limit)
    data = [views.workspace(row) for row in rows]
    return json_response({"data": data, "total_count": total})


@router.get("/workspaces/{id}")
async def get_workspace(request: Request, id: str) -> Response:  # noqa: A002  # OpenRouter's name
    """Show a workspace, by its id or slug."""
    services = services_of(request)
    principal = await services.keyring.administrator(request, Role.VIEWER)
    row = await _find(services, principal, id)
    return json_response({"data": views.workspace(row)})


@router.patch("/workspaces/{id}", openapi_extra=WORKSPACE_CHANGES_BODY)
async def change_workspace(request: Request, id: str) -> Response:  # noqa: A002
    """Change a workspace: what is not named stays."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    asked = (await reading.read_body(request, services, WorkspaceChanges)).model_dump(
        exclude_unset=True
    )
    row = await _find(services, principal, id)
    own = [name for name in OPERATORS_ONLY if name in asked]
    if own and not principal.everywhere:
        raise PermissionDeniedError(
            f"{own[0]}: only a management key of the installation may set it.", param=own[0]
        )
    actor, columns = actor_of(request, principal), _columns(asked, row.settings)
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, columns)
    )
    return json_response({"data": views.workspace(changed)})


@router.delete("/workspaces/{id}")
async def delete_workspace(request: Request, id: str) -> Response:  # noqa: A002
    """Close a workspace without active keys. Its jobs and its books stay."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    row = await _find(services, principal, id)
    if not (principal.everywhere or principal.role is Role.OWNER):
        raise PermissionDeniedError(
            "Deleting a workspace needs the role owner, or a management key of the installation; "
            f"yours is {principal.role.value}."
        )
    actor = actor_of(request, principal)
    await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    return json_response({"deleted": True})


@router.delete("/workspaces/{id}/data", status_code=202)
async def forget_workspace_data(request: Request, id: str) -> Response:  # noqa: A002
    """Forget all that its ended jobs asked and were told: soon, in small pieces; books stay."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    row = await _find(services, principal, id)
    if not (principal.everywhere or principal.role is Role.OWNER):
        raise PermissionDeniedError(
            "Having a workspace's data forgotten needs the role owner, or a management key of the "
            f"installation; yours is {principal.role.value}."
        )
    actor = actor_of(request, principal)
    await carry_out(
        services.database, lambda connection: administration.delete_contents(connection, actor, row)
    )
    return json_response({"accepted": True}, 202)


@router.get("/workspaces/{id}/members")
async def list_workspace_members(
    request: Request,
    id: str,  # noqa: A002
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """List a workspace's members with their roles."""
    services = services_of(request)
    principal = await services.keyring.administrator(request, Role.VIEWER)
    row = await _find(services, principal, id)
    return json_response(await _members(services, row.id, offset, limit))


@router.post("/workspaces/{id}/members/add", openapi_extra=MEMBERS_BODY)
async def add_workspace_members(request: Request, id: str) -> Response:  # noqa: A002
    """Make users members, or give members another role.

    `user_ids` are ids; a management key of the installation may name e-mail addresses, too.
    """
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    wanted = await reading.read_body(request, services, MembersRequest)
    row = await _find(services, principal, id)
    actor, by = actor_of(request, principal), _rank(principal)
    await carry_out(
        services.database,
        lambda connection: administration.add_members(
            connection,
            actor,
            row.id,
            wanted.user_ids,
            wanted.role,
            by=by,
            by_address=principal.everywhere,
        ),
    )
    shown = await _members(services, row.id, 0, 100)
    added = [each for each in shown["data"] if each["user_id"] in wanted.user_ids]
    return json_response({"data": added, "added_count": len(added)})


@router.post("/workspaces/{id}/members/remove", openapi_extra=MEMBERS_BODY)
async def remove_workspace_members(request: Request, id: str) -> Response:  # noqa: A002
    """Take users out of a workspace."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    wanted = await reading.read_body(request, services, MembersRequest)
    row = await _find(services, principal, id)
    actor, by = actor_of(request, principal), _rank(principal)
    await carry_out(
        services.database,
        lambda connection: administration.remove_members(
            connection, actor, row.id, wanted.user_ids, by=by
        ),
    )
    return json_response({"removed_count": len(wanted.user_ids)})


@router.get("/organization/members")
async def list_organization_members(
    request: Request, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List everyone who may sign in (with a management key of the installation)."""
    services = services_of(request)
    principal = await services.keyring.administrator(request)
    if not principal.everywhere:
        raise PermissionDeniedError(
            "Only a management key of the installation sees everyone: `waybill keys create "
            "--everywhere` makes one."
        )
    rows, total = await services.database.read(user_page, offset, limit)
    data = [views.organization_member(row) for row in rows]
    return json_response({"data": data, "total_count": total})


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
        return [each.id for each in members.list_memberships(connection, principal.user_id or "")]
    return [principal.workspace_id]


def _workspace_page(connection: Any, ids: list[str] | None, offset: int, limit: int) -> Any:
    return accounts.list_workspaces(connection, ids, offset=offset, limit=limit)


def _member_page(connection: Any, workspace_id: str, offset: int, limit: int) -> Any:
    return members.list_members(connection, workspace_id, offset=offset, limit=limit)


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
