"""Settings of the workspace: its name, what is stored and for how long, its limits; deletion."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.response_schemas import Workspace, WorkspaceAnswer
from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.forms import keep_entered, read_number, status_of
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form, redirect
from broker.completion import Json
from broker.enums import Store

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/settings")
STORES = (
    ("", "as the installation is set"),
    (Store.FULL.value, "full: prompts and answers"),
    (Store.RESULT_ONLY.value, "result_only: answers, no prompts"),
    (Store.NONE.value, "none: an answer until it was fetched"),
)
NAMED = ("name", "slug", "description")
LIMITS = ("weight", "requests_per_minute", "max_concurrent_jobs")
"""Fields that only operators change, beside `unlimited`."""


@router.get("")
async def show_settings(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the settings, and the forms to change them."""
    return await _render_settings(request, visitor, api)


@router.post("")
async def change_settings(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Change the part of the settings that the form has."""
    form = await read_form(request)
    path = f"/workspaces/{visitor.place.id}"
    try:
        changed = await api.send("PATCH", path, WorkspaceAnswer, _read_changes(form))
    except ApiRefusalError as refusal:
        return await _render_settings(request, visitor, api, refusal, form)
    page = f"/w/{changed.data.slug or changed.data.id}/settings"
    return redirect_with_notice(request, page, "The settings are saved.")


@router.post("/new-workspace")
async def create_workspace(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create a workspace, for operators."""
    form = await read_form(request)
    body: Json = {"name": form.get("new_name", ""), "unlimited": "new_unlimited" in form}
    try:
        made = await api.send("POST", "/workspaces", WorkspaceAnswer, body)
    except ApiRefusalError as refusal:
        return await _render_settings(request, visitor, api, refusal, form)
    page = f"/w/{made.data.slug or made.data.id}/members"
    return redirect_with_notice(request, page, f"{made.data.name} is there. Now add its members.")


@router.post("/delete-data")
async def delete_data(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Delete the prompts and answers of ended jobs, in the background."""
    await read_form(request)
    await api.change("DELETE", f"/workspaces/{visitor.place.id}/data")
    notice = "Prompts and answers are being deleted. Usage and ledger stay."
    return redirect_with_notice(request, f"{visitor.root}/settings", notice)


@router.post("/delete-workspace")
async def delete_workspace(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Delete the workspace, if the form repeats its name."""
    form = await read_form(request)
    if form.get("confirmed_name") != visitor.place.name:
        unconfirmed = ApiRefusalError(400, "Type the name of the workspace to delete it.")
        return await _render_settings(request, visitor, api, unconfirmed, form)
    try:
        await api.change("DELETE", f"/workspaces/{visitor.place.id}")
    except ApiRefusalError as refusal:
        return await _render_settings(request, visitor, api, refusal, form)
    return redirect("/dashboard")


async def _render_settings(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    workspace = (await api.get(f"/workspaces/{visitor.place.id}", WorkspaceAnswer)).data
    values = {
        "workspace": workspace,
        "stores": STORES,
        "refusal": refusal,
        "entered": keep_entered(_fill(workspace) | dict(entered or {})),
    }
    return await render(request, visitor, "settings.html", values, status=status_of(refusal))


def _fill(workspace: Workspace) -> dict[str, str]:
    """Return the values of the forms for a workspace as it is."""
    shown = {
        name: getattr(workspace, name) for name in (*NAMED, *LIMITS, "store", "retention_days")
    }
    texts = {name: "" if value is None else str(value) for name, value in shown.items()}
    return texts | ({"unlimited": "on"} if workspace.unlimited else {})


def _read_changes(form: Mapping[str, str]) -> Json:
    """Return the changes of the form that was sent. Raises ApiRefusalError."""
    part = form.get("part")
    if part == "privacy":
        return {
            "store": form.get("store") or None,
            "retention_days": read_number(form, "retention_days"),
        }
    if part == "limits":
        limits = {name: read_number(form, name) for name in LIMITS}
        return {**limits, "weight": limits["weight"] or 1, "unlimited": "unlimited" in form}
    return {
        "name": form.get("name", ""),
        "slug": form.get("slug", ""),
        "description": form.get("description") or None,
    }
