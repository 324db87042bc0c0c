"""Users of the installation, for operators: create, disable, and links for a new password."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.response_schemas import PasswordLink, UserPage, UserWithLink
from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.forms import keep_entered, status_of
from api.dashboard.core.lists import PAGE_SIZE, link_pages, read_offset
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from broker.completion import Json
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/users")
CHANGES = {
    "disable": ({"disabled": True}, "is disabled, and signed out everywhere."),
    "enable": ({"disabled": False}, "may sign in again."),
    "promote": ({"is_operator": True}, "administers the installation."),
    "demote": ({"is_operator": False}, "does not administer the installation any more."),
}
"""The changes of a user that the page offers, with the end of what it says afterwards."""


@immutable
class ShownLink:
    """A link for a password, which is shown once."""

    email: str
    link: str


@router.get("")
async def list_users(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the users of the installation, and the form for another."""
    return await _render_list(request, visitor, api)


@router.post("")
async def create_user(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create a user, and show the link for a password once."""
    form = await read_form(request)
    body: Json = {
        "email": form.get("email", ""),
        "name": form.get("name", ""),
        "is_operator": "is_operator" in form,
    }
    try:
        made = await api.send("POST", "/users", UserWithLink, body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal=refusal, entered=form)
    shown = ShownLink(made.data.email, made.link)
    return await _render_list(request, visitor, api, shown=shown)


@router.post("/{user_id}/link")
async def create_link(request: Request, visitor: VisitorDep, api: ApiDep, user_id: str) -> Response:
    """Show a link for a new password once."""
    form = await read_form(request)
    made = await api.send("POST", f"/users/{user_id}/link", PasswordLink)
    shown = ShownLink(form.get("label", user_id), made.link)
    return await _render_list(request, visitor, api, shown=shown)


@router.post("/{user_id}/change")
async def change_user(request: Request, visitor: VisitorDep, api: ApiDep, user_id: str) -> Response:
    """Disable or enable a user, or make them an operator or not."""
    form = await read_form(request)
    found = CHANGES.get(form.get("change", ""))
    if found is None:
        raise ApiRefusalError(400, f"change: one of {', '.join(CHANGES)}.", "change")
    body, end = found
    await api.change("PATCH", f"/users/{user_id}", body)
    notice = f"{form.get('label', user_id)} {end}"
    return redirect_with_notice(request, f"{visitor.root}/users", notice)


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    *,
    shown: ShownLink | None = None,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    offset = read_offset(request)
    page = await api.get("/users", UserPage, {"offset": offset, "limit": PAGE_SIZE})
    values = {
        "users": page.data,
        "shown": shown,
        "refusal": refusal,
        "entered": keep_entered(entered),
        **link_pages(offset, page.total_count),
    }
    return await render(request, visitor, "users.html", values, status=status_of(refusal))
