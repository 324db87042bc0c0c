"""/auth/keys: an app's code for a key (PKCE), in OpenRouter's shapes. The page is /auth."""

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.account_scope import workspace_of
from api.accounts.schemas import (
    APP_CODE_BODY,
    CODE_EXCHANGE_BODY,
    AppCodeRequest,
    CodeExchange,
    milliseconds,
)
from api.accounts.views import iso
from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.openapi_bodies import NO_KEY
from api.core.services import services_of
from broker.accounts import CallerKind, Role
from broker.administration import apps, carry_out
from broker.administration.apps import Grant
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import PermissionDeniedError
from broker.money import nanos_from_usd

router = APIRouter(prefix="/auth/keys", tags=["apps"])


@router.post("/code", openapi_extra=APP_CODE_BODY)
async def create_app_code(request: Request) -> Response:
    """Make a code without a browser: with a management key, or signed in."""
    services = services_of(request)
    principal = await services.keyring.administrator(request, Role.MEMBER)
    wanted = await reading.asked(request, services, AppCodeRequest)
    host = apps.check_callback(wanted.callback_url)
    owner = await workspace_of(services, principal, wanted.workspace_id)
    user_id = principal.user_id if principal.kind is CallerKind.SESSION else None
    grant = Grant(
        owner, user_id, wanted.key_label or host, columns_of(wanted),
        wanted.code_challenge, wanted.code_challenge_method,
    )  # fmt: skip
    actor = actor_of(request, principal)
    code = await carry_out(
        services.database, lambda connection: apps.grant_code(connection, actor, grant)
    )
    return json_response({"data": {"id": code, "app_id": 0, "created_at": iso(now_ms())}})


@router.post("", openapi_extra=CODE_EXCHANGE_BODY | NO_KEY)
async def exchange_app_code(request: Request) -> Response:
    """Exchange a code for a key. No key is needed: the code and its verifier are the proof."""
    services = services_of(request)
    wanted = await reading.asked(request, services, CodeExchange)
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
