"""Routes of presets: named, versioned parts of a body. Shapes: OpenRouter's presets API."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import CallingActor, PresetCaller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.presets.response_schemas import (
    DeletedPreset,
    PresetAnswer,
    PresetList,
    PresetVersionAnswer,
    PresetVersionList,
)
from api.presets.schemas import (
    PRESET_BODY,
    PRESET_MESSAGE_BODY,
    PRESET_RESPONSE_BODY,
    PresetChoiceBody,
)
from broker import presets
from broker.accounts import Principal
from broker.accounts.audit import Actor
from broker.administration import carry_out
from broker.administration import presets as administration
from broker.clock import now_ms
from broker.completion import Json
from broker.dialects.messages.request import translate_request
from broker.dialects.responses import request as responses
from broker.errors import InvalidRequestError, NotFoundError
from broker.presets import NewVersion, PresetName
from broker.presets.merging import check_slug
from broker.presets.store import PresetRow, VersionRow
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation

router = APIRouter(route_class=Route, prefix="/presets", tags=["presets"])
MAX_NUMBER = 1_000_000_000  # what a column of PostgreSQL takes
Limit: TypeAlias = Annotated[int, Query(ge=1, le=100, description="The most entries of a page.")]
Offset: TypeAlias = Annotated[
    int, Query(ge=0, le=MAX_NUMBER, description="The number of entries to skip.")
]
Slug: TypeAlias = Annotated[str, Path(description="The slug of the preset.")]
Version: TypeAlias = Annotated[
    int, Path(ge=1, le=MAX_NUMBER, description="The number of the version, from 1.")
]


@router.get("", response_model=PresetList)
async def list_presets(
    services: ServicesDep, principal: PresetCaller, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """List the workspace's presets, by slug."""
    rows, total = await services.database.read(
        presets.list_presets, principal.workspace_id, limit, offset
    )
    return json_response({"data": [_render_preset(row) for row in rows], "total_count": total})


@router.get("/{slug}", response_model=PresetAnswer)
async def get_preset(services: ServicesDep, principal: PresetCaller, slug: Slug) -> Response:
    """Return a preset with the version that calls use."""
    return json_response({"data": await _render_current(services, principal, slug)})


@router.get("/{slug}/versions", response_model=PresetVersionList)
async def list_preset_versions(
    services: ServicesDep,
    principal: PresetCaller,
    slug: Slug,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """List a preset's versions, newest first."""
    rows, total = await services.database.read(
        presets.list_versions, principal.workspace_id, slug, limit, offset
    )
    if not total:
        raise _unknown_preset(slug)
    return json_response({"data": [_render_version(row) for row in rows], "total_count": total})


@router.get("/{slug}/versions/{version}", response_model=PresetVersionAnswer)
async def get_preset_version(
    services: ServicesDep, principal: PresetCaller, slug: Slug, version: Version
) -> Response:
    """Return one version of a preset."""
    found = await services.database.read(presets.find, principal.workspace_id, slug, version)
    if found is None:
        raise NotFoundError(f"There is no version {version} of a preset {slug!r}.")
    return json_response({"data": _render_version(found.version)})


@router.post(
    "/{slug}/chat/completions",
    response_model=PresetAnswer,
    dependencies=[Depends(PRESET_BODY)],
)
async def save_preset(
    request: Request,
    services: ServicesDep,
    principal: PresetCaller,
    actor: CallingActor,
    slug: Slug,
) -> Response:
    """Save the model, system prompt and parameters of a chat body as the next version of a preset.

    A preset that does not exist is created. Calls use the new version from now on.
    """
    body = await reading.read_json(request, services.settings.max_body_bytes)
    validated(SCHEMAS[Operation.CHAT], body if body.get("messages") else body | _ANY_MESSAGES)
    return await _save_version(services, principal, actor, slug, body)


@router.post(
    "/{slug}/responses", response_model=PresetAnswer, dependencies=[Depends(PRESET_RESPONSE_BODY)]
)
async def save_preset_of_response(
    request: Request,
    services: ServicesDep,
    principal: PresetCaller,
    actor: CallingActor,
    slug: Slug,
) -> Response:
    """Save the model, instructions and parameters of a body of POST /responses as a version.

    A preset that does not exist is created. Calls in every dialect use the new version.
    """
    body = await reading.read_json(request, services.settings.max_body_bytes)
    whole = body if body.get("input") else body | {"input": "(none)"}
    responses.check_request(whole)
    chat = responses.translate_request(whole).body
    return await _save_version(services, principal, actor, slug, chat)


@router.post(
    "/{slug}/messages", response_model=PresetAnswer, dependencies=[Depends(PRESET_MESSAGE_BODY)]
)
async def save_preset_of_message(
    request: Request,
    services: ServicesDep,
    principal: PresetCaller,
    actor: CallingActor,
    slug: Slug,
) -> Response:
    """Save the model, system prompt and parameters of a body of POST /messages as a version.

    A preset that does not exist is created. Calls in every dialect use the new version.
    """
    body = await reading.read_json(request, services.settings.max_body_bytes)
    whole = {"max_tokens": 1, **body}
    chat = translate_request(whole if body.get("messages") else whole | _ANY_MESSAGES).body
    if body.get("max_tokens") is None:
        del chat["max_tokens"]
    return await _save_version(services, principal, actor, slug, chat)


async def _save_version(
    services: Services, principal: Principal, actor: Actor, slug: str, body: Json
) -> Response:
    """Save what a preset keeps of a chat body; return the preset."""
    name = PresetName(principal.workspace_id, check_slug(slug, "slug"))
    content = presets.capture(body)
    if not content.config and content.system_prompt is None:
        raise InvalidRequestError("There is nothing in this body that a preset keeps.")
    new = NewVersion(name, principal.api_key_id, content, now_ms())
    await carry_out(
        services.database, lambda connection: administration.save(connection, actor, new)
    )
    return json_response({"data": await _render_current(services, principal, slug)})


_ANY_MESSAGES: Json = {"messages": [{"role": "user", "content": ""}]}
"""Valid messages for the check of a body without any: a preset keeps none."""


@router.patch("/{slug}", response_model=PresetAnswer)
async def choose_preset_version(
    services: ServicesDep,
    principal: PresetCaller,
    actor: CallingActor,
    body: PresetChoiceBody,
    slug: Slug,
) -> Response:
    """Choose the version that calls use."""
    name = PresetName(principal.workspace_id, slug)
    await services.database.write(administration.choose, actor, name, body.version, now_ms())
    return json_response({"data": await _render_current(services, principal, slug)})


@router.delete("/{slug}", response_model=DeletedPreset)
async def delete_preset(
    services: ServicesDep, principal: PresetCaller, actor: CallingActor, slug: Slug
) -> Response:
    """Delete a preset with all its versions."""
    name = PresetName(principal.workspace_id, slug)
    if not await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, name)
    ):
        raise _unknown_preset(slug)
    return json_response({"deleted": True})


async def _render_current(services: Services, principal: Principal, slug: str) -> Json:
    found = await services.database.read(presets.find, principal.workspace_id, slug)
    if found is None:
        raise _unknown_preset(slug)
    return _render_preset(found.preset) | {"designated_version": _render_version(found.version)}


def _unknown_preset(slug: str) -> NotFoundError:
    return NotFoundError(
        f"There is no preset {slug!r}: POST /api/v1/presets/{slug}/chat/completions makes one."
    )


def _render_preset(row: PresetRow) -> Json:
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
        "created_at": _iso_time(row.created_at),
        "updated_at": _iso_time(row.updated_at),
    }


def _render_version(row: VersionRow) -> Json:
    return {
        "id": _version_id(row.preset_id, row.version),
        "preset_id": row.preset_id,
        "version": row.version,
        "config": orjson.loads(row.config),
        "system_prompt": row.system_prompt,
        "creator_id": row.api_key_id,
        "created_at": _iso_time(row.created_at),
        "updated_at": _iso_time(row.created_at),
    }


def _version_id(preset_id: str, version: int) -> str:
    return f"{preset_id}.{version}"


def _iso_time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
