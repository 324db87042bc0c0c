"""/byok: provider keys of workspaces, in OpenRouter's shapes."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from starlette.responses import Response

from api.accounts.byok_schemas import ByokBody, ByokChangesBody, CredentialChanges, CredentialId
from api.accounts.key_response_schemas import ProviderKeyAnswer, ProviderKeyPage
from api.accounts.response_schemas import Deleted
from api.accounts.schemas import Limit, ListedWorkspace
from api.accounts.views import iso
from api.core.bodies import Route
from api.core.dependencies import Admin, CallingActor, ServicesDep
from api.core.errors import json_response
from api.core.scope import find_workspace_id, find_workspace_ids
from api.core.services import Services
from broker import accounts, credentials
from broker.accounts import Principal
from broker.administration import carry_out
from broker.administration import credentials as administration
from broker.completion import Json
from broker.credentials import CredentialFilter, CredentialRow, NewCredential
from broker.credentials.records import label_of, read_key
from broker.errors import InvalidRequestError, NotFoundError
from broker.providers import configuration

router = APIRouter(route_class=Route, tags=["byok"])
LISTS = ("allowed_models", "allowed_user_ids")
"""Fields that are stored as JSON lists."""
DECLARED = ("declared_region", "declared_zdr")
"""Fields of OpenRouter's clients without effect."""


@router.post("/byok", status_code=201, response_model=ProviderKeyAnswer)
async def create_provider_key(
    services: ServicesDep, principal: Admin, actor: CallingActor, body: ByokBody
) -> Response:
    """Store a provider key. It is encrypted, and no answer contains it."""
    if body.provider not in configuration.load_byok_providers(services.settings):
        raise InvalidRequestError(
            f"provider: {body.provider!r} is no provider that could be called here with a key "
            "alone: GET /api/v1/providers names them.",
            param="provider",
        )
    owner = await find_workspace_id(services, principal, body.workspace_id)
    columns = await _columns_of(services, owner, body)
    encrypted, label = columns.pop("encrypted_secret"), columns.pop("label")
    new = NewCredential(owner, body.provider, encrypted, label, columns)
    row = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, new)
    )
    return await _answer(services, row, 201)


@router.get("/byok", response_model=ProviderKeyPage)
async def list_provider_keys(
    services: ServicesDep,
    principal: Admin,
    offset: Annotated[
        int, Query(ge=0, le=1_000_000, description="The number of objects to skip.")
    ] = 0,
    limit: Limit = 50,
    workspace_id: ListedWorkspace = None,
    provider: Annotated[str | None, Query(description="The slug of a provider.")] = None,
) -> Response:
    """List provider keys in the order in which they are tried."""
    which = CredentialFilter(await find_workspace_ids(services, principal, workspace_id), provider)
    rows, total = await services.database.read(
        lambda connection: credentials.list_credentials(
            connection, which, offset=offset, limit=limit
        )
    )
    data = [await _render(services, row) for row in rows]
    return json_response({"data": data, "total_count": total})


@router.get("/byok/{id}", response_model=ProviderKeyAnswer)
async def get_provider_key(
    services: ServicesDep, principal: Admin, credential_id: CredentialId
) -> Response:
    """Show a provider key, without the key itself."""
    return await _answer(services, await _find(services, principal, credential_id))


@router.patch("/byok/{id}", response_model=ProviderKeyAnswer)
async def change_provider_key(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: ByokChangesBody,
    credential_id: CredentialId,
) -> Response:
    """Change a provider key. All processes apply it within a second; absent fields stay."""
    row = await _find(services, principal, credential_id)
    changes = await _columns_of(services, row.workspace_id, body)
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, changes)
    )
    return await _answer(services, changed)


@router.delete("/byok/{id}", response_model=Deleted)
async def delete_provider_key(
    services: ServicesDep, principal: Admin, actor: CallingActor, credential_id: CredentialId
) -> Response:
    """Delete a provider key. Jobs whose plan contains it use the next plan step."""
    row = await _find(services, principal, credential_id)
    await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    await services.credentials.refresh()
    return json_response({"deleted": True})


async def _find(services: Services, principal: Principal, credential_id: str) -> CredentialRow:
    row = await services.database.read(credentials.find, credential_id)
    if row is None or not principal.administers(row.workspace_id):
        raise NotFoundError(f"There is no key {credential_id}.", param="id")
    return row


async def _answer(services: Services, row: CredentialRow, status: int = 200) -> Response:
    """Return a provider key as the answer, after this process has read the change."""
    await services.credentials.refresh()
    return json_response({"data": await _render(services, row)}, status)


async def _render(services: Services, row: CredentialRow) -> Json:
    ids = _decode_list(row.allowed_key_ids)
    return {
        "id": row.id,
        "provider": row.provider,
        "name": row.name,
        "label": row.label,
        "workspace_id": row.workspace_id,
        "sort_order": row.sort_order,
        "is_fallback": row.is_fallback,
        "is_required": row.is_required,
        "is_byok_only": row.is_byok_only,
        "disabled": row.disabled,
        "disabled_reason": row.disabled_reason,
        "last_error": row.last_error,
        "last_error_at": iso(row.last_error_at),
        "allowed_models": _decode_list(row.allowed_models),
        "allowed_api_key_hashes": None if ids is None else await _find_hashes(services, ids),
        "allowed_user_ids": _decode_list(row.allowed_user_ids),
        **dict.fromkeys(DECLARED),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _decode_list(stored: str | None) -> list[str] | None:
    found: list[str] | None = None if stored is None else orjson.loads(stored)
    return found


async def _find_hashes(services: Services, ids: list[str]) -> list[str]:
    """Return the hashes of keys that still exist."""
    rows = [await services.database.read(accounts.find_key, id_) for id_ in ids]
    return [row.hash for row in rows if row is not None]


async def _columns_of(services: Services, owner: str, body: CredentialChanges) -> Json:
    """Return the fields of a body as columns of `provider_credentials`."""
    columns = body.model_dump(exclude_unset=True)
    for name in ("provider", "workspace_id", *DECLARED):
        columns.pop(name, None)
    if "key" in columns:
        key = read_key(columns.pop("key"))
        columns |= {"encrypted_secret": services.encryption.encrypt(key), "label": label_of(key)}
    for name in LISTS:
        if columns.get(name) is not None:
            columns[name] = orjson.dumps(columns[name]).decode()
    if "allowed_api_key_hashes" in columns:
        hashes = columns.pop("allowed_api_key_hashes")
        columns["allowed_key_ids"] = (
            None
            if hashes is None
            else orjson.dumps(await _find_key_ids(services, owner, hashes)).decode()
        )
    return columns


async def _find_key_ids(services: Services, owner: str, hashes: list[str]) -> list[str]:
    """Return the ids of a workspace's keys. Raises InvalidRequestError for a key it has not."""
    ids = []
    for each in hashes:
        row = await services.database.read(accounts.find_key, each)
        if row is None or row.workspace_id != owner:
            raise InvalidRequestError(
                f"allowed_api_key_hashes: this workspace has no key {each}.",
                param="allowed_api_key_hashes",
            )
        ids.append(row.id)
    return ids
