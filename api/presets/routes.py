"""/presets: named, versioned parts of a body. Shapes: OpenRouter's presets API."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import CallingActor, PresetCaller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.presets.schemas import PRESET_BODY, PresetChoiceBody
from broker import presets
from broker.accounts import Principal
from broker.administration import carry_out
from broker.administration import presets as administration
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, NotFoundError
from broker.presets import NewVersion, PresetName, StoredPreset
from broker.presets.merging import check_slug
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation

router = APIRouter(route_class=Route, prefix="/presets", tags=["presets"])
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Version = Annotated[int, Path(ge=1, le=1_000_000_000)]


@router.get("")
async def list_presets(
    services: ServicesDep, principal: PresetCaller, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """List the workspace's presets, by slug."""
    rows, total = await services.database.read(
        presets.list_presets, principal.workspace_id, limit, offset
    )
    return json_response({"data": [_preset(row) for row in rows], "total_count": total})


@router.get("/{slug}")
async def get_preset(services: ServicesDep, principal: PresetCaller, slug: str) -> Response:
    """Show a preset with the version that calls get."""
    return json_response({"data": await _shown(services, principal, slug)})


@router.get("/{slug}/versions")
async def list_preset_versions(
    services: ServicesDep, principal: PresetCaller, slug: str, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """List a preset's versions, newest first."""
    rows, total = await services.database.read(
        presets.list_versions, principal.workspace_id, slug, limit, offset
    )
    if not total:
        raise _absent(slug)
    return json_response({"data": [_version(row) for row in rows], "total_count": total})


@router.get("/{slug}/versions/{version}")
async def get_preset_version(
    services: ServicesDep, principal: PresetCaller, slug: str, version: Version
) -> Response:
    """Show one version of a preset."""
    found = await services.database.read(presets.find, principal.workspace_id, slug, version)
    if found is None:
        raise NotFoundError(f"There is no version {version} of a preset {slug!r}.")
    return json_response({"data": _version(found.version)})


@router.post("/{slug}/chat/completions", dependencies=[Depends(PRESET_BODY)])
async def save_preset(
    request: Request, services: ServicesDep, principal: PresetCaller, actor: CallingActor, slug: str
) -> Response:
    """Keep a chat body's model, system prompt and parameters under a slug: its next version."""
    body = await reading.read_json(request, services.settings.max_body_bytes)
    validated(SCHEMAS[Operation.CHAT], body if body.get("messages") else body | _ANYTHING)
    name = PresetName(principal.workspace_id, check_slug(slug, "slug"))
    content = presets.capture(body)
    if not content.config and content.system_prompt is None:
        raise InvalidRequestError("There is nothing in this body that a preset keeps.")
    wish = NewVersion(name, principal.api_key_id, content, now_ms())
    await carry_out(
        services.database, lambda connection: administration.save(connection, actor, wish)
    )
    return json_response({"data": await _shown(services, principal, slug)})


_ANYTHING: Json = {"messages": [{"role": "user", "content": ""}]}
"""Stands for messages, which a preset does not keep."""


@router.patch("/{slug}")
async def choose_preset_version(
    services: ServicesDep,
    principal: PresetCaller,
    actor: CallingActor,
    body: PresetChoiceBody,
    slug: str,
) -> Response:
    """Let calls get another version: `{"version": 1}`."""
    name = PresetName(principal.workspace_id, slug)
    await services.database.write(administration.choose, actor, name, body.version, now_ms())
    return json_response({"data": await _shown(services, principal, slug)})


@router.delete("/{slug}")
async def delete_preset(
    services: ServicesDep, principal: PresetCaller, actor: CallingActor, slug: str
) -> Response:
    """Delete a preset with all its versions."""
    name = PresetName(principal.workspace_id, slug)
    if not await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, name)
    ):
        raise _absent(slug)
    return json_response({"deleted": True})


async def _shown(services: Services, principal: Principal, slug: str) -> Json:
    found = await services.database.read(presets.find, principal.workspace_id, slug)
    if found is None:
        raise _absent(slug)
    return _with_version(found)


def _absent(slug: str) -> NotFoundError:
    return NotFoundError(
        f"There is no preset {slug!r}: POST /api/v1/presets/{slug}/chat/completions makes one."
    )


def _with_version(found: StoredPreset) -> Json:
    return _preset(found.preset) | {"designated_version": _version(found.version)}


def _preset(row: Any) -> Json:
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.slug,
        "description": None,
        "status": "active",
        "status_updated_at": None,
        "designated_version_id": _version_id(row.id, row.version),
        "workspace_id": row.workspace_id,
        "creator_user_id": None,
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def _version(row: Any) -> Json:
    return {
        "id": _version_id(row.preset_id, row.version),
        "preset_id": row.preset_id,
        "version": row.version,
        "config": orjson.loads(row.config),
        "system_prompt": row.system_prompt,
        "creator_id": row.api_key_id,
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.created_at),
    }


def _version_id(preset_id: str, version: int) -> str:
    return f"{preset_id}.{version}"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
