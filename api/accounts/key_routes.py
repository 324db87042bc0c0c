"""/keys and /key: API keys. /auth/keys: an app's code for a key (PKCE, OpenRouter's shapes)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.accounts import key_jobs, views
from api.accounts.schemas import (
    AppCodeBody,
    AppCodeRequest,
    CodeExchangeBody,
    KeyBody,
    KeyChanges,
    KeyRef,
    KeyRequest,
    milliseconds,
)
from api.accounts.views import KeyStatus, iso
from api.core import request as reading
from api.core.bodies import NO_KEY, Route
from api.core.dependencies import Admin, AdminMember, Caller, CallingActor, ServicesDep
from api.core.errors import json_response
from api.core.scope import all_or_own, workspace_of
from api.core.services import Services
from broker import accounts, rate_limits, usage
from broker.accounts import CallerKind, KeyFilter, Principal, users
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
from broker.requests.bodies import validated

router = APIRouter(route_class=Route, tags=["keys"])
PAGE = 100


@router.get("/key")
async def get_current_key(services: ServicesDep, principal: Caller) -> Response:
    """Show the key that asks: what it may do, what it has spent, what is left of its limit."""
    if principal.kind is CallerKind.SESSION:
        raise NotFoundError("You are signed in without a key: see /keys.")
    row = await services.database.read(accounts.find_key, principal.api_key_id)
    return json_response({"data": await _shown(services, row, await _free(services, principal))})


@router.post("/keys", status_code=201)
async def create_key(
    services: ServicesDep, principal: Admin, actor: CallingActor, wanted: KeyBody
) -> Response:
    """Make a key. The key itself is in this answer, and in no other."""
    if wanted.everywhere and not principal.everywhere:
        raise PermissionDeniedError("Only a key of the whole installation makes another.")
    if wanted.everywhere and wanted.kind is not CallerKind.MANAGEMENT:
        raise InvalidRequestError("everywhere: only a management key can be.", param="everywhere")
    owner = await workspace_of(services, principal, wanted.workspace_id)
    columns = _columns(wanted.model_dump(exclude_unset=True))
    columns.pop("workspace_id", None)
    columns |= {
        "everywhere": wanted.everywhere,
        "created_by": await _creator(services, principal, owner, wanted),
    }
    wish = KeyOptions(owner, columns.pop("name"), wanted.kind, columns)
    made = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, wish)
    )
    row = await services.database.read(accounts.find_key, made.id)
    return json_response({"data": await _shown(services, row), "key": made.key}, 201)


@router.get("/keys")
async def list_keys(
    services: ServicesDep,
    principal: Admin,
    offset: Annotated[int, Query(ge=0)] = 0,
    include_disabled: bool = False,
    include_expired: bool = True,
    workspace_id: str | None = None,
) -> Response:
    """List keys, newest first: the workspace's own, or with a key of the installation, all."""
    which = KeyFilter(
        await all_or_own(services, principal, workspace_id),
        include_disabled=include_disabled,
        include_expired=include_expired,
    )
    rows = await services.database.read(_page, which, offset)
    standing = await services.database.read(_standing, rows, now_ms())
    shown = [views.key(row, standing[row.id]) for row in rows]
    return json_response({"data": shown})


@router.get("/keys/{hash}")
async def get_key(services: ServicesDep, principal: Admin, key_ref: KeyRef) -> Response:
    """Show a key, by its hash or id."""
    row = await _find(services, principal, key_ref)
    return json_response({"data": await _shown(services, row)})


@router.patch("/keys/{hash}")
async def change_key(
    request: Request, services: ServicesDep, principal: Admin, actor: CallingActor, key_ref: KeyRef
) -> Response:
    """Change a key: what is not named stays. It is felt everywhere within a second."""
    body = await reading.read_json(request, services.settings.max_body_bytes)
    changes = _columns(validated(KeyChanges, body).model_dump(exclude_unset=True))
    row = await _find(services, principal, key_ref)
    if "workspace_id" in changes:
        changes["workspace_id"] = await workspace_of(services, principal, changes["workspace_id"])
    changed = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, row, changes)
    )
    return json_response({"data": await _shown(services, changed)})


@router.delete("/keys/{hash}")
async def delete_key(
    services: ServicesDep,
    principal: Admin,
    actor: CallingActor,
    key_ref: KeyRef,
    jobs: Literal["keep", "cancel"] = "keep",
) -> Response:
    """Delete a key: it stops working within a second.

    Jobs that it submitted go on; `?jobs=cancel` cancels those that have not begun, and its batches
    (`cancelled` says how many). `left` lists what it made that was still there, to review: keys,
    webhook endpoints, presets, batches, and how many jobs had not begun. The audit log has it, too.
    """
    row = await _find(services, principal, key_ref)
    left = await carry_out(
        services.database, lambda connection: administration.delete(connection, actor, row)
    )
    told: Json = {"deleted": True, "left": left}
    if jobs == "cancel":
        told["cancelled"] = await key_jobs.cancel(services, row)
    return json_response(told)


def _page(connection: Any, which: KeyFilter, offset: int) -> Any:
    return accounts.find_keys(connection, which, offset=offset, limit=PAGE)


async def _find(services: Services, principal: Principal, wanted: str) -> Any:
    row = await services.database.read(accounts.find_key, wanted)
    is_hidden = (
        row is None
        or not principal.administers(row.workspace_id)
        or (row.everywhere and not principal.everywhere)
    )
    if is_hidden:
        raise NotFoundError(f"There is no key {wanted}.", param="hash")
    return row


async def _shown(services: Services, row: Any, free: Json | None = None) -> Json:
    standing = (await services.database.read(_standing, [row], now_ms()))[row.id]
    if free is not None:
        return views.current_key(row, standing, free)
    return views.key(row, standing)


def _standing(connection: Any, rows: Sequence[Any], now: int) -> dict[str, KeyStatus]:
    """Return what these keys have spent, and the budgets that apply to them."""
    spent = usage.key_usage(connection, [row.id for row in rows], now)
    workspaces = {row.id: row.workspace_id for row in rows}
    applying = budgets.budgets_of_keys(connection, workspaces, now)
    return {row.id: KeyStatus(spent[row.id], applying[row.id], now) for row in rows}


async def _free(services: Services, principal: Principal) -> Json:
    """Return how many requests to free models the workspace made today (UTC), and may make."""
    most = rate_limits.free_per_day(principal, services.settings)
    day = [
        limit
        for limit in rate_limits.free_limits(principal, services.settings)
        if limit.kind is LimitKind.DAY
    ]
    used = await services.limiter.count(day[0], now_ms()) if day else 0
    return {"used": used, "limit": most, "remaining": max(0, most - used)}


async def _creator(
    services: Services, principal: Principal, owner: str, asked: KeyRequest
) -> str | None:
    """Return whom the key stands for: a member of its workspace.

    A management key has the rights of whom it stands for, so a person makes one for themselves
    alone: in another's name it would outlast their own demotion.
    """
    wanted = asked.creator_user_id
    if wanted is None:
        return principal.user_id
    if asked.kind is CallerKind.MANAGEMENT and principal.user_id not in (None, wanted):
        raise PermissionDeniedError(
            "creator_user_id: a management key stands for whoever makes it; leave this out."
        )
    if await services.database.read(users.find_role, owner, wanted) is None:
        raise NotFoundError(f"{wanted} is no member of this workspace.", param="creator_user_id")
    return wanted


def _columns(asked: Json) -> Json:
    """Return what was asked as columns of `api_keys`."""
    columns = {
        name: value
        for name, value in asked.items()
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


@app_code_router.post("/code")
async def create_app_code(
    services: ServicesDep, principal: AdminMember, actor: CallingActor, wanted: AppCodeBody
) -> Response:
    """Make a code without a browser: with a management key, or signed in."""
    host = apps.check_callback(wanted.callback_url)
    owner = await workspace_of(services, principal, wanted.workspace_id)
    user_id = principal.user_id if principal.kind is CallerKind.SESSION else None
    grant = Grant(
        owner, user_id, wanted.key_label or host, columns_of(wanted),
        wanted.code_challenge, wanted.code_challenge_method,
    )  # fmt: skip
    code = await carry_out(
        services.database, lambda connection: apps.grant_code(connection, actor, grant)
    )
    return json_response({"data": {"id": code, "app_id": 0, "created_at": iso(now_ms())}})


@app_code_router.post("", openapi_extra=NO_KEY)
async def exchange_app_code(
    request: Request, services: ServicesDep, wanted: CodeExchangeBody
) -> Response:
    """Exchange a code for a key. No key is needed: the code and its verifier are the proof."""
    address = request.client.host if request.client else None
    made, user_id = await carry_out(
        services.database,
        lambda connection: apps.exchange(
            connection, address, wanted.code, wanted.code_verifier, wanted.code_challenge_method
        ),
    )
    return json_response({"key": made.key, "user_id": user_id})


def columns_of(wanted: AppCodeRequest) -> Json:
    """Return the limits that a code carries, as columns of the key to come."""
    limit, reset = wanted.limit, wanted.usage_limit_type
    if limit is not None and limit <= 0:
        raise PermissionDeniedError("A key that may spend nothing is of no use.", param="limit")
    return {
        "limit_nanos": None if limit is None else nanos_from_usd(limit),
        "limit_reset": None if reset is None else reset.value,
        "expires_at": milliseconds(wanted.expires_at),
        "scopes": orjson.dumps(wanted.scopes).decode(),
    }
