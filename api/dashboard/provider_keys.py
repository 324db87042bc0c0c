"""Provider keys of the workspace: the list, a new one, and the page of one."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.key_response_schemas import ProviderKey, ProviderKeyAnswer, ProviderKeyPage
from api.dashboard.core.api_client import ApiDep, ApiRefusalError, Query
from api.dashboard.core.forms import keep_entered, read_list, read_number, status_of
from api.dashboard.core.lists import PAGE_SIZE, link_pages, read_offset
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.models.response_schemas import ProviderList
from api.pages.page import read_form
from broker.completion import Json

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/provider-keys")
CHOICES = {
    "is_fallback": "use it only after the installation's key",
    "is_required": "never use the installation's key for its models",
    "is_byok_only": "never use the installation's key for this provider",
}


@router.get("")
async def list_provider_keys(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the provider keys in the order in which they are tried, and the form for another."""
    return await _render_list(request, visitor, api)


@router.post("")
async def create_provider_key(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Store a provider key."""
    form = await read_form(request)
    try:
        body = {
            **_read_changes(form),
            "provider": form.get("provider", "").strip(),
            "key": form.get("key", "").strip(),
            "workspace_id": visitor.place.id,
        }
        made = await api.send("POST", "/byok", ProviderKeyAnswer, body)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal, form)
    notice = f"The key of {made.data.provider} is stored. Calls use it from now on."
    return redirect_with_notice(request, f"{visitor.root}/provider-keys", notice)


@router.get("/{key_id}")
async def show_provider_key(
    request: Request, visitor: VisitorDep, api: ApiDep, key_id: str
) -> Response:
    """Show one provider key, and the form to change it."""
    return await _render_key(request, visitor, api, key_id)


@router.post("/{key_id}")
async def change_provider_key(
    request: Request, visitor: VisitorDep, api: ApiDep, key_id: str
) -> Response:
    """Change a provider key. An empty field of the key itself leaves it as it is."""
    form = await read_form(request)
    try:
        body = _read_changes(form)
        if form.get("key", "").strip():
            body["key"] = form["key"].strip()
        await api.change("PATCH", f"/byok/{key_id}", body)
    except ApiRefusalError as refusal:
        return await _render_key(request, visitor, api, key_id, refusal, form)
    path = f"{visitor.root}/provider-keys/{key_id}"
    return redirect_with_notice(request, path, "The provider key is changed.")


@router.post("/{key_id}/disable")
async def disable_provider_key(
    request: Request, visitor: VisitorDep, api: ApiDep, key_id: str
) -> Response:
    """Disable a provider key, or enable it again."""
    form = await read_form(request)
    disabled = form.get("disabled") == "true"
    await api.change("PATCH", f"/byok/{key_id}", {"disabled": disabled})
    notice = "The key is not used any more." if disabled else "The key is used again."
    return redirect_with_notice(request, f"{visitor.root}/provider-keys/{key_id}", notice)


@router.post("/{key_id}/delete")
async def delete_provider_key(
    request: Request, visitor: VisitorDep, api: ApiDep, key_id: str
) -> Response:
    """Delete a provider key."""
    await read_form(request)
    await api.change("DELETE", f"/byok/{key_id}")
    path = f"{visitor.root}/provider-keys"
    return redirect_with_notice(request, path, "The provider key is deleted.")


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    offset = read_offset(request)
    query: Query = {"workspace_id": visitor.place.id, "offset": offset, "limit": PAGE_SIZE}
    page = await api.get("/byok", ProviderKeyPage, query)
    providers = await api.get("/providers", ProviderList, {"all": True})
    values = {
        "keys": page.data,
        "providers": providers.data,
        "choices": CHOICES,
        "refusal": refusal,
        "entered": keep_entered(entered),
        **link_pages(offset, page.total_count),
    }
    return await render(request, visitor, "provider_keys.html", values, status=status_of(refusal))


async def _render_key(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    key_id: str,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    key = (await api.get(f"/byok/{key_id}", ProviderKeyAnswer)).data
    values = {
        "key": key,
        "choices": CHOICES,
        "refusal": refusal,
        "entered": keep_entered(entered or _fill(key)),
    }
    return await render(request, visitor, "provider_key.html", values, status=status_of(refusal))


def _fill(key: ProviderKey) -> dict[str, str]:
    """Return the values of the form for a key as it is."""
    return {
        "name": key.name or "",
        "sort_order": str(key.sort_order),
        "allowed_models": "\n".join(key.allowed_models or ()),
        **{name: "on" for name in CHOICES if getattr(key, name)},
    }


def _read_changes(form: Mapping[str, str]) -> Json:
    """Return name, order and rules of a provider key from its form. Raises ApiRefusalError."""
    return {
        "name": form.get("name", "").strip() or None,
        "sort_order": read_number(form, "sort_order") or 0,
        "allowed_models": read_list(form, "allowed_models"),
        **{name: name in form for name in CHOICES},
    }
