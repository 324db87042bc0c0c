"""Presets: the list, and a preset with its versions."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiClient, ApiDep, ApiRefusalError
from api.dashboard.core.forms import keep_entered, read_json_object, read_number, status_of
from api.dashboard.core.lists import PAGE_SIZE, link_pages, read_offset
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.models.response_schemas import ModelPage
from api.pages.page import read_form
from api.presets.response_schemas import (
    ListedPresetVersion,
    PresetAnswer,
    PresetList,
    PresetVersionList,
)
from broker.completion import Json

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/presets")
NUMBERS = ("temperature", "top_p", "max_tokens")
"""Parameters with a field of their own. All others are in the field `more`, as JSON."""


@router.get("")
async def list_presets(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the presets, and the form for another."""
    return await _render_list(request, visitor, api)


@router.post("")
async def create_preset(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Save a preset, or another version of the one with this slug."""
    form = await read_form(request)
    slug = form.get("slug", "").strip()
    try:
        await _save(api, slug, form)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal, form)
    path = f"{visitor.root}/presets/{quote(slug, safe='')}"
    return redirect_with_notice(request, path, "The preset is saved.")


@router.get("/{slug}")
async def show_preset(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Show a preset with its versions, and the form for the next one."""
    return await _render_preset(request, visitor, api, slug)


@router.post("/{slug}")
async def save_version(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Save the next version of a preset."""
    form = await read_form(request)
    try:
        await _save(api, slug, form)
    except ApiRefusalError as refusal:
        return await _render_preset(request, visitor, api, slug, refusal, form)
    path = f"{visitor.root}/presets/{slug}"
    return redirect_with_notice(request, path, "The version is saved. Calls use it from now on.")


@router.post("/{slug}/version")
async def choose_version(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Choose the version that calls use."""
    form = await read_form(request)
    version = read_number(form, "version")
    await api.change("PATCH", f"/presets/{slug}", {"version": version})
    path = f"{visitor.root}/presets/{slug}"
    return redirect_with_notice(request, path, f"Calls use version {version} from now on.")


@router.post("/{slug}/delete")
async def delete_preset(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Delete a preset with all its versions."""
    await read_form(request)
    await api.change("DELETE", f"/presets/{slug}")
    return redirect_with_notice(request, f"{visitor.root}/presets", f"{slug} is deleted.")


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    offset = read_offset(request)
    page = await api.get("/presets", PresetList, {"offset": offset, "limit": PAGE_SIZE})
    values = {
        "presets": page.data,
        "models": (await api.get("/models", ModelPage)).data,
        "refusal": refusal,
        "entered": keep_entered(entered),
        **link_pages(offset, page.total_count),
    }
    return await render(request, visitor, "presets.html", values, status=status_of(refusal))


async def _render_preset(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    slug: str,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    preset = (await api.get(f"/presets/{slug}", PresetAnswer)).data
    versions = await api.get(f"/presets/{slug}/versions", PresetVersionList, {"limit": PAGE_SIZE})
    values: dict[str, Any] = {
        "preset": preset,
        "versions": versions.data,
        "total": versions.total_count,
        "models": (await api.get("/models", ModelPage)).data,
        "write_config": _write_config,
        "refusal": refusal,
        "entered": keep_entered(entered or _fill(preset.designated_version)),
    }
    return await render(request, visitor, "preset.html", values, status=status_of(refusal))


async def _save(api: ApiClient, slug: str, form: Mapping[str, str]) -> None:
    """Save a version. Raises ApiRefusalError."""
    body: Json = read_json_object(form, "more")
    if model := form.get("model", "").strip():
        body["model"] = model
    for name in NUMBERS:
        if (value := read_number(form, name)) is not None:
            body[name] = value
    if prompt := form.get("system", "").strip():
        body["messages"] = [{"role": "system", "content": prompt}]
    if not slug:
        raise ApiRefusalError(400, "slug: a name is needed.", "slug")
    await api.change("POST", f"/presets/{quote(slug, safe='')}/chat/completions", body)


def _fill(version: ListedPresetVersion) -> dict[str, str]:
    """Return the values of the form for a version."""
    rest = {
        name: value for name, value in version.config.items() if name not in ("model", *NUMBERS)
    }
    return {
        "model": str(version.config.get("model", "")),
        "system": version.system_prompt or "",
        "more": _write_config(rest) if rest else "",
        **{name: str(version.config[name]) for name in NUMBERS if name in version.config},
    }


def _write_config(config: Json) -> str:
    return orjson.dumps(config, option=orjson.OPT_INDENT_2).decode()
