"""Dependencies of routes: the services, the caller, and the headers that many routes read."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Request

from api.core import request as reading
from api.core.auth import actor_of
from api.core.services import Services, get_services
from broker.accounts import Principal, Role, Scope, access
from broker.accounts.audit import Actor
from broker.errors import PermissionDeniedError


async def provide_services(request: Request) -> Services:
    """Return the services of this process."""
    return get_services(request)


ServicesDep: TypeAlias = Annotated[Services, Depends(provide_services)]


async def authenticate(request: Request, services: ServicesDep) -> Principal:
    """Return the caller. Raises AuthenticationError."""
    return await services.keyring.principal(request)


Caller: TypeAlias = Annotated[Principal, Depends(authenticate)]
"""The owner of the request's API key, or the user who is signed in."""


async def require_runner(principal: Caller) -> Principal:
    """Return a caller that may run completions. Raises PermissionDeniedError."""
    access.check_runs(principal)
    return principal


Runner: TypeAlias = Annotated[Principal, Depends(require_runner)]


def require_scope(scope: Scope) -> Callable[[Request, Services], Awaitable[Principal]]:
    """Return the dependency for a caller with this scope."""

    async def require(request: Request, services: ServicesDep) -> Principal:
        return await services.keyring.with_scope(request, scope)

    return require


PresetCaller: TypeAlias = Annotated[Principal, Depends(require_scope(Scope.PRESETS))]
WebhookCaller: TypeAlias = Annotated[Principal, Depends(require_scope(Scope.WEBHOOKS))]


def require_role(least: Role) -> Callable[[Request, Services], Awaitable[Principal]]:
    """Return the dependency for a caller that administers with this role or a higher one."""

    async def require(request: Request, services: ServicesDep) -> Principal:
        return await services.keyring.administrator(request, least)

    return require


Admin: TypeAlias = Annotated[Principal, Depends(require_role(Role.ADMIN))]
"""An administrator: a management key, or a signed-in user with the role admin or owner."""
AdminMember: TypeAlias = Annotated[Principal, Depends(require_role(Role.MEMBER))]
AdminViewer: TypeAlias = Annotated[Principal, Depends(require_role(Role.VIEWER))]


def require_operator(action: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Return the dependency for a management key of the whole installation.

    `action` completes the refusal "Only a management key of the installation …".
    """

    async def require(principal: Admin) -> Principal:
        if not principal.everywhere:
            raise PermissionDeniedError(
                f"Only a management key of the installation {action}: `waybill keys create "
                "--everywhere` makes one."
            )
        return principal

    return require


async def name_actor(request: Request, principal: Caller) -> Actor:
    """Return the caller as the audit log names it."""
    return actor_of(request, principal)


CallingActor: TypeAlias = Annotated[Actor, Depends(name_actor)]


async def read_idempotency_key(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 characters of your choice. The same request with the same key "
            "returns the earlier object and creates nothing.",
        ),
    ] = None,
) -> str | None:
    """Return the `Idempotency-Key` header."""
    return reading.parse_idempotency_key(request)


IdempotencyKey: TypeAlias = Annotated[str | None, Depends(read_idempotency_key)]


def describe_header(alias: str, description: str) -> Callable[[str | None], Awaitable[None]]:
    """Return a dependency that describes a header which its route reads itself."""

    async def describe(
        _: Annotated[str | None, Header(alias=alias, description=description)] = None,
    ) -> None:
        """Read nothing."""

    return describe


PREFER = Depends(
    describe_header(
        "Prefer",
        "`wait=N` waits at most N seconds for the job to end; `respond-async` answers 202 at once "
        "(RFC 7240).",
    )
)
LAST_EVENT_ID = Depends(
    describe_header("Last-Event-ID", "The number of the last event received: the stream goes on.")
)
SESSION_ID = Depends(
    describe_header("X-Session-Id", "The session, whose calls prefer one endpoint's prompt cache.")
)
APP_HEADERS = (
    Depends(describe_header("HTTP-Referer", "The site of the app that calls.")),
    Depends(describe_header("X-Title", "The name of the app that calls.")),
    Depends(describe_header("X-OpenRouter-Title", "The same as `X-Title`.")),
    Depends(describe_header("X-OpenRouter-Categories", "Categories of the app.")),
    SESSION_ID,
)
"""Descriptions of the headers that say where a request comes from."""
CALL_HEADERS = (
    PREFER,
    Depends(read_idempotency_key),
    Depends(describe_header("X-Store", "What is stored: `full`, `result_only` or `none`.")),
    Depends(
        describe_header("X-Coalesce", "`true` shares one call among identical concurrent jobs.")
    ),
    Depends(
        describe_header(
            "X-Cancel-On-Disconnect",
            "`true` cancels the job when the caller disconnects; `now` does not wait for the "
            "provider's usage.",
        )
    ),
    Depends(
        describe_header(
            "X-OpenRouter-Metadata", "`enabled` adds `openrouter_metadata` to the answer."
        )
    ),
    Depends(
        describe_header(
            "X-OpenRouter-Cache", "`true` answers an earlier identical request from the cache."
        )
    ),
    Depends(describe_header("X-OpenRouter-Cache-TTL", "Seconds that a cached answer may be used.")),
    Depends(describe_header("X-OpenRouter-Cache-Clear", "`true` requests a fresh answer.")),
    *APP_HEADERS,
)
"""Descriptions of the headers of a call."""
