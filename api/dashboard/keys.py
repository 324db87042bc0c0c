"""API keys: the list, a new key (shown once), and the page of one key."""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.key_response_schemas import CreatedKey, KeyAnswer, KeyList
from api.dashboard.core.api_client import ApiDep, ApiRefusalError, Query
from api.dashboard.core.forms import read_list, read_number, status_of
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from broker.accounts import Scope
from broker.completion import Json
from broker.enums import LimitReset

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/keys")
SCOPES = {
    Scope.JOBS: "read, cancel and delete all jobs of the workspace",
    Scope.FILES: "read, use and delete all its files",
    Scope.WEBHOOKS: "manage its webhooks and read their secrets",
    Scope.PRESETS: "read and change its presets",
}
ENTERED = (
    "name", "kind", "expires_at", "limit", "requests_per_minute", "max_concurrent_jobs",
    "allowed_models", "allowed_providers",
)  # fmt: skip
"""Fields that keep what was entered when the API refuses the key."""
RESETS = (("", "never"), *((each.value, each.value) for each in LimitReset))


@router.get("")
async def list_keys(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the keys of the workspace with their spending, and the form for another."""
    return await _render_list(request, visitor, api)


@router.post("")
async def create_key(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create a key, and show it once."""
    form = await read_form(request)
    try:
        body = {
            **_read_limits(form),
            "name": form.get("name", ""),
            "kind": form.get("kind") or "inference",
            "workspace_id": visitor.place.id,
        }
        if form.get("expires_at"):
            body["expires_at"] = f"{form['expires_at']}T00:00:00Z"
        created = await api.send("POST", "/keys", CreatedKey, body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal=refusal, entered=form)
    return await _render_list(request, visitor, api, created=created)


@router.get("/{key_id}")
async def show_key(request: Request, visitor: VisitorDep, api: ApiDep, key_id: str) -> Response:
    """Show one key with its limits, and the form to change them."""
    return await _render_key(request, visitor, api, key_id)


@router.post("/{key_id}")
async def change_key(request: Request, visitor: VisitorDep, api: ApiDep, key_id: str) -> Response:
    """Change name and limits of a key."""
    form = await read_form(request)
    try:
        body = {**_read_limits(form), "name": form.get("name", "")}
        await api.change("PATCH", f"/keys/{key_id}", body)
    except ApiRefusalError as refusal:
        return await _render_key(request, visitor, api, key_id, refusal)
    return redirect_with_notice(request, f"{visitor.root}/keys/{key_id}", "The key is changed.")


@router.post("/{key_id}/disable")
async def disable_key(request: Request, visitor: VisitorDep, api: ApiDep, key_id: str) -> Response:
    """Disable a key, or enable it again."""
    form = await read_form(request)
    disabled = form.get("disabled") == "true"
    await api.change("PATCH", f"/keys/{key_id}", {"disabled": disabled})
    notice = "The key is disabled." if disabled else "The key is enabled again."
    return redirect_with_notice(request, f"{visitor.root}/keys/{key_id}", notice)


@router.post("/{key_id}/delete")
async def delete_key(request: Request, visitor: VisitorDep, api: ApiDep, key_id: str) -> Response:
    """Delete a key."""
    await read_form(request)
    await api.change("DELETE", f"/keys/{key_id}")
    return redirect_with_notice(request, f"{visitor.root}/keys", "The key is deleted.")


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    *,
    created: CreatedKey | None = None,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    query: Query = {"include_disabled": True, "workspace_id": visitor.place.id}
    keys = await api.get("/keys", KeyList, query)
    values = {
        "keys": keys.data,
        "created": created,
        "refusal": refusal,
        "entered": {**dict.fromkeys(ENTERED, ""), **(entered or {})},
        "scopes": SCOPES,
        "resets": RESETS,
        "today": datetime.now(UTC).date().isoformat(),
    }
    return await render(request, visitor, "keys.html", values, status=status_of(refusal))


async def _render_key(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    key_id: str,
    refusal: ApiRefusalError | None = None,
) -> Response:
    key = (await api.get(f"/keys/{key_id}", KeyAnswer)).data
    values = {"key": key, "refusal": refusal, "scopes": SCOPES, "resets": RESETS}
    return await render(request, visitor, "key.html", values, status=status_of(refusal))


def _read_limits(form: Mapping[str, str]) -> Json:
    """Return the limits and rights of a key from its form. Raises ApiRefusalError."""
    limits: Json = {
        "limit": read_number(form, "limit"),
        "limit_reset": form.get("limit_reset") or None,
        "requests_per_minute": read_number(form, "requests_per_minute"),
        "max_concurrent_jobs": read_number(form, "max_concurrent_jobs"),
        "allowed_models": read_list(form, "allowed_models"),
        "allowed_providers": read_list(form, "allowed_providers"),
    }
    if form.get("kind", "inference") == "inference":
        limits["scopes"] = [scope.value for scope in SCOPES if form.get(f"scope_{scope.value}")]
    return limits
