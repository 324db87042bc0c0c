"""Members of the workspace: their roles, and invitations."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.response_schemas import Member, MemberPage, UserWithLink
from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.forms import keep_entered, status_of
from api.dashboard.core.lists import PAGE_SIZE, link_pages, read_offset
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from broker.accounts import Role
from broker.completion import Json

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/members")


@router.get("")
async def list_members(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the members with their roles, and the forms for others."""
    return await _render_list(request, visitor, api)


@router.post("/invite")
async def invite_member(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create a user who is a member, and show the link for a password once."""
    form = await read_form(request)
    body: Json = {
        "email": form.get("email", ""),
        "name": form.get("name", ""),
        "role": form.get("role") or Role.MEMBER.value,
        "workspace_id": visitor.place.id,
    }
    try:
        invited = await api.send("POST", "/users", UserWithLink, body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal=refusal, entered=form)
    return await _render_list(request, visitor, api, invited=invited)


@router.post("/add")
async def add_member(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Make a known user a member, or give a member another role."""
    form = await read_form(request)
    user = form.get("user", "").strip()
    body: Json = {"user_ids": [user], "role": form.get("role") or Role.MEMBER.value}
    try:
        await api.change("POST", f"/workspaces/{visitor.place.id}/members/add", body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal=refusal, entered=form)
    notice = f"{form.get('label') or user} has the role {body['role']}."
    return redirect_with_notice(request, f"{visitor.root}/members", notice)


@router.post("/remove")
async def remove_member(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Remove a member."""
    form = await read_form(request)
    body: Json = {"user_ids": [form.get("user", "")]}
    try:
        await api.change("POST", f"/workspaces/{visitor.place.id}/members/remove", body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal=refusal)
    notice = f"{form.get('label') or 'The user'} is no member any more."
    return redirect_with_notice(request, f"{visitor.root}/members", notice)


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    *,
    invited: UserWithLink | None = None,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    offset = read_offset(request)
    path = f"/workspaces/{visitor.place.id}/members"
    page = await api.get(path, MemberPage, {"offset": offset, "limit": PAGE_SIZE})
    values: dict[str, Any] = {
        "members": page.data,
        "total": page.total_count,
        "roles": list_roles(visitor),
        "may_change_member": lambda member: _may_change(visitor, member),
        "invited": invited,
        "refusal": refusal,
        "entered": keep_entered(entered),
        **link_pages(offset, page.total_count),
    }
    return await render(request, visitor, "members.html", values, status=status_of(refusal))


def list_roles(visitor: VisitorDep) -> list[tuple[str, str]]:
    """Return the roles that the visitor may give, with what each may do, lowest first."""
    meanings = {
        Role.VIEWER: "viewer: reads",
        Role.MEMBER: "member: runs jobs",
        Role.ADMIN: "admin: manages keys, members and settings",
        Role.OWNER: "owner: may also delete the workspace",
    }
    return [
        (role.value, text)
        for role, text in meanings.items()
        if role is not Role.OWNER or visitor.is_owner
    ]


def _may_change(visitor: VisitorDep, member: Member) -> bool:
    """Return whether the visitor may change this member: only owners change an owner."""
    return visitor.is_admin and (visitor.is_owner or member.role != Role.OWNER)
