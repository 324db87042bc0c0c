"""/keys and /key: API keys. /auth/keys: an app's code for a key (PKCE, OpenRouter's shapes)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.accounts import key_jobs, views
from api.accounts.key_response_schemas import (
    AppCodeAnswer,
    CreatedKey,
    CurrentKeyAnswer,
    DeletedKey,
    ExchangedKey,
    KeyAnswer,
    KeyList,
)
from api.accounts.key_schemas import (
    AppCodeBody,
    AppCodeRequest,
    CodeExchangeBody,
    KeyBody,
    KeyChangesBody,
    KeyRef,
    KeyRequest,
    milliseconds,
)
from api.accounts.schemas import ListedWorkspace, Offset
from api.accounts.views import KeyStatus, iso
from api.core.bodies import NO_KEY, Route
from api.core.dependencies import Admin, AdminMember, Caller, CallingActor, ServicesDep
from api.core.errors import json_response
from api.core.scope import find_workspace_id, find_workspace_ids
from api.core.services import Services
from broker import accounts, rate_limits, usage
from broker.accounts import CallerKind, KeyFilter, KeyRow, Principal, users
from broker.administration import apps, carry_out
from broker.administration import keys as administration
from broker.administration.apps import Grant
from broker.administration.keys import KeyOptions
from broker.billing import budgets
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from broker.money import nanos_from_usd
from broker.rate_limits import LimitKind

router = APIRouter(route_class=Route, tags=["keys"])
PAGE_SIZE = 100


@router.get("/key", response_model=CurrentKeyAnswer)
async def get_current_key(services: ServicesDep, principal: Caller) -> Response:
    """Show the caller's key with its permissions, its spending and the rest of its limit."""
    if principal.kind is CallerKind.SESSION:
        raise NotFoundError("You are signed in without a key: see /keys.")
    row = await _get_key(services, principal.api_key_id)
    [status] = (await services.database.read(_load_status, [row], now_ms())).values()
    free = await _count_free_requests(services, principal)
    return json_response({"data": views.render_current_key(row, status, free)})


@router.post("/keys", status_code=201, response_model=CreatedKey)
async def create_key(
    services: ServicesDep, principal: Admin, actor: CallingActor, body: KeyBody
) -> Response:
    """Create a key. Only this answer contains the key itself."""
    if body.everywhere and not principal.everywhere:
        raise PermissionDeniedError("Only a key of the whole installation makes another.")
    if body.everywhere and body.kind is not CallerKind.MANAGEMENT:
        raise InvalidRequestError("everywhere: only a management key can be.", param="everywhere")
    owner = await find_workspace_id(services, principal, body.workspace_id)
    columns = _columns_of(body.model_dump(exclude_unset=True))
    columns.pop("workspace_id", None)
    columns |= {
        "everywhere": body.everywhere,
        "created_by": await _find_creator(services, principal, owner, body),
    }
    options = KeyOptions(owner, columns.pop("name"), body.kind, columns)
    created = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, options)
    )
    row = await _get_key(services, created.id)
    return json_response({"data": await _render(services, row), "key": created.key}, 201)


@router.get("/keys", response_model=KeyList)
async def list_keys(
    services: ServicesDep,
    principal: Admin,
    offset: Offset = 0,
    include_disabled: Annotated[bool, Query(description="Whether to list disabled keys.")] = False,
    include_expired: Annotated[bool, Query(description="Whether to list expired keys.")] = True,
    workspace_id: ListedWorkspace = None,
) -> Response:
    """List the workspace's keys, newest first. A key of the installation lists all keys."""
    which = KeyFilter(
        await find_workspace_ids(services, principal, workspace_id),
        include_disabled=include_disabled,
        include_expired=include_expired,
    )
    rows = await services.database.read(
        lambda connection: accounts.find_keys(connection, which, offset=offset, limit=PAGE_SIZE)
    )
    statuses = await services.database.read(_load_status, rows, now_ms())
    return json_response({"data": [views.render_key(row, statuses[row.id]) for row in rows]})


@router.get("/keys/{hash}", response_model=KeyAnswer)
async def get_key(services: ServicesDep, principal: Admin, key_ref: KeyRef) -> Response:
    """Show a key, by its hash or id."""
    row = await _find(services, principal, key_ref)
    return json_response({"data": await _render(services, row)})


@router.patch("/keys/{hash}", response_model=KeyAnswer)
async def change_key(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    body: KeyChangesBody,
    key_ref: KeyRef,
) -> Response:
    """Change a key. All processes apply the change within a second; absent fields stay."""
    changes = _columns_of(body.model_dump(exclude_unset=True))
    row = await _find(services, principal, key_ref)
    if "workspace_id" in changes:
        changes["workspace_id"] = await find_workspace_id(
            services, principal, changes["workspace_id"]
        )
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, changes)
    )
    return json_response({"data": await _render(services, changed)})


@router.delete("/keys/{hash}", response_model=DeletedKey)
async def delete_key(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    key_ref: KeyRef,
    jobs: Annotated[
        Literal["keep", "cancel"],
        Query(description="`cancel` cancels the key's batches and its jobs that have not begun."),
    ] = "keep",
) -> Response:
    """Delete a key. It stops working within a second.

    Jobs that it submitted continue, unless `jobs=cancel`. `left` lists the objects that the key
    created and that still exist, so that you can review them. The audit log lists them, too.
    """
    row = await _find(services, principal, key_ref)
    left = await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    answer: Json = {"deleted": True, "left": left}
    if jobs == "cancel":
        answer["cancelled"] = await key_jobs.cancel_all(services, row)
    return json_response(answer)


async def _find(services: Services, principal: Principal, key_ref: str) -> KeyRow:
    """Return a key that the caller administers. Raises NotFoundError."""
    row = await _get_key(services, key_ref)
    is_hidden = row.everywhere and not principal.everywhere
    if is_hidden or not principal.administers(row.workspace_id):
        raise _missing_error(key_ref)
    return row


async def _get_key(services: Services, key_ref: str) -> KeyRow:
    """Return the key with this hash or id. Raises NotFoundError."""
    row = await services.database.read(accounts.find_key, key_ref)
    if row is None:
        raise _missing_error(key_ref)
    return row


def _missing_error(key_ref: str) -> NotFoundError:
    return NotFoundError(f"There is no key {key_ref}.", param="hash")


async def _render(services: Services, row: KeyRow) -> Json:
    statuses = await services.database.read(_load_status, [row], now_ms())
    return views.render_key(row, statuses[row.id])


def _load_status(connection: Connection, rows: Sequence[KeyRow], now: int) -> dict[str, KeyStatus]:
    """Return the spending of keys and the budgets that apply to them, by id of the key."""
    spent = usage.key_usage(connection, [row.id for row in rows], now)
    workspaces = {row.id: row.workspace_id for row in rows}
    applying = budgets.budgets_of_keys(connection, workspaces, now)
    return {row.id: KeyStatus(spent[row.id], applying[row.id], now) for row in rows}


async def _count_free_requests(services: Services, principal: Principal) -> Json:
    """Return the workspace's requests to free models of today (UTC), and their limit."""
    most = rate_limits.free_per_day(principal, services.settings)
    day = [
        limit
        for limit in rate_limits.free_limits(principal, services.settings)
        if limit.kind is LimitKind.DAY
    ]
    used = await services.limiter.count(day[0], now_ms()) if day else 0
    return {"used": used, "limit": most, "remaining": max(0, most - used)}


async def _find_creator(
    services: Services, principal: Principal, owner: str, body: KeyRequest
) -> str | None:
    """Return the id of the user that the key stands for: a member of its workspace.

    A management key has the permissions of its user, so users create management keys only for
    themselves. A key that stood for another user would keep permissions that its maker loses.
    """
    user_id = body.creator_user_id
    if user_id is None:
        return principal.user_id
    if body.kind is CallerKind.MANAGEMENT and principal.user_id not in (None, user_id):
        raise PermissionDeniedError(
            "creator_user_id: a management key belongs to its creator; leave this out."
        )
    if await services.database.read(users.find_role, owner, user_id) is None:
        raise NotFoundError(f"{user_id} is no member of this workspace.", param="creator_user_id")
    return user_id


def _columns_of(fields: Json) -> Json:
    """Return the fields of a body as columns of `api_keys`."""
    columns = {
        name: value
        for name, value in fields.items()
        if name not in ("kind", "everywhere", "creator_user_id")
    }
    if "limit" in columns:
        limit = columns.pop("limit")
        columns["limit_nanos"] = None if limit is None else nanos_from_usd(limit)
    if "expires_at" in columns:
        columns["expires_at"] = milliseconds(columns["expires_at"])
    for name in ("allowed_models", "allowed_providers", "scopes"):
        if columns.get(name) is not None:
            columns[name] = orjson.dumps(columns[name]).decode()
    if columns.get("limit_reset") is not None:
        columns["limit_reset"] = columns["limit_reset"].value
    return columns


app_code_router = APIRouter(route_class=Route, prefix="/auth/keys", tags=["apps"])


@app_code_router.post("/code", response_model=AppCodeAnswer)
async def create_app_code(
    services: ServicesDep, principal: AdminMember, actor: CallingActor, body: AppCodeBody
) -> Response:
    """Create a code for an app without a page: with a management key, or as a signed-in user."""
    host = apps.check_callback(body.callback_url)
    owner = await find_workspace_id(services, principal, body.workspace_id)
    user_id = principal.user_id if principal.kind is CallerKind.SESSION else None
    grant = Grant(
        owner, user_id, body.key_label or host, columns_of_grant(body),
        body.code_challenge, body.code_challenge_method,
    )  # fmt: skip
    code = await carry_out(
        services.database, lambda connection: apps.grant_code(connection, actor, grant)
    )
    return json_response({"data": {"id": code, "app_id": 0, "created_at": iso(now_ms())}})


@app_code_router.post("", response_model=ExchangedKey, openapi_extra=NO_KEY)
async def exchange_app_code(
    request: Request, services: ServicesDep, body: CodeExchangeBody
) -> Response:
    """Exchange a code for a key. The request needs no key, but the code and its verifier."""
    address = request.client.host if request.client else None
    created, user_id = await carry_out(
        services.database,
        lambda connection: apps.exchange(
            connection, address, body.code, body.code_verifier, body.code_challenge_method
        ),
    )
    return json_response({"key": created.key, "user_id": user_id})


def columns_of_grant(body: AppCodeRequest) -> Json:
    """Return the limits of the key that an app receives for its code, as columns of `api_keys`.

    Raises PermissionDeniedError for a limit of 0.
    """
    limit, reset = body.limit, body.usage_limit_type
    if limit is not None and limit <= 0:
        raise PermissionDeniedError("A key that may spend nothing is of no use.", param="limit")
    return {
        "limit_nanos": None if limit is None else nanos_from_usd(limit),
        "limit_reset": None if reset is None else reset.value,
        "expires_at": milliseconds(body.expires_at),
        "scopes": orjson.dumps(body.scopes).decode(),
    }
