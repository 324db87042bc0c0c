"""Authentication: by the API key of a request, or by the session cookie of a browser.

The keys in use are read again twice a second, all in one query.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from starlette.requests import Request

from api.core.headers import read_header
from broker import accounts
from broker.accounts import CallerKind, KeyUse, Principal, Role, Scope, StoredKey, access
from broker.accounts.audit import Actor
from broker.accounts.sessions import create_session_key, find_session_principal
from broker.background import Service, stop_services
from broker.clock import now_ms
from broker.errors import AuthenticationError, PermissionDeniedError
from broker.storage.database import Database

MAX_AGE_SECONDS = 0.9
"""A key that was read longer ago is read again before it is accepted."""
REFRESH_SECONDS = 0.4
IDLE_SECONDS = 5.0
"""A key that was not used for this time is no longer read again in the background."""
RECORD_USE_SECONDS = 60.0
MAX_KEYS = 10_000
"""The most keys in memory."""

log = structlog.get_logger()


@dataclass(slots=True)
class _KnownKey:
    """A key as it was read last. Times are those of the monotonic clock, in seconds."""

    stored: StoredKey
    read_at: float
    used_at: float


class Keyring:
    """The keys that were used lately, by their hashes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, _KnownKey] = {}
        self._used: dict[str, int] = {}  # key id → Unix milliseconds, not written yet
        self._services = (
            Service("keys", REFRESH_SECONDS, self._refresh),
            Service("key-use", RECORD_USE_SECONDS, self._record_use, close=self._record_use),
        )

    def start(self) -> None:
        for service in self._services:
            service.start()

    async def close(self) -> None:
        await stop_services(self._services)

    async def principal(self, request: Request) -> Principal:
        """Return the caller of a request: the owner of its key, or the user who is signed in.

        Raises AuthenticationError, and PermissionDeniedError for a viewer who writes.
        """
        return await self._principal(request, MAX_AGE_SECONDS)

    async def _principal(self, request: Request, max_age: float) -> Principal:
        key = _read_key(request)
        if key is None:
            return await authenticate_session(request, self._database)
        known = await self._find(key, max_age)
        now = now_ms()
        if known.disabled:
            raise AuthenticationError("This API key is disabled.")
        if known.has_lost_creator:
            raise AuthenticationError(
                "This management key ended with its maker, who is disabled or has left this "
                "workspace: ask an administrator for another."
            )
        if known.is_expired(now):
            raise AuthenticationError("This API key has expired: ask for another.")
        if known.principal.kind is CallerKind.MANAGEMENT:
            refuse_viewers(request, known.principal)
        self._used[known.principal.api_key_id] = now
        return known.principal

    async def with_scope(self, request: Request, scope: Scope) -> Principal:
        """Return the caller of a request. Raises PermissionDeniedError without the scope."""
        principal = await self.principal(request)
        access.check_scope(principal, scope)
        return principal

    async def administrator(self, request: Request, least: Role = Role.ADMIN) -> Principal:
        """Return the caller of a request that needs a role. Raises PermissionDeniedError.

        The caller is read from the database now, so that a demotion has effect at once.
        """
        principal = await self._principal(request, 0.0)
        if principal.kind is CallerKind.INFERENCE:
            raise PermissionDeniedError(
                "This needs a management key, and this is an inference key: `waybill keys create "
                "--management` makes one.",
            )
        if not principal.role.reaches(least):
            raise PermissionDeniedError(
                f"This needs the role {least.value}, and yours is {principal.role.value}."
            )
        return principal

    async def _find(self, key: str, max_age: float = MAX_AGE_SECONDS) -> StoredKey:
        """Return a key, read at most `max_age` seconds ago. Raises AuthenticationError."""
        if accounts.is_mistyped(key):
            raise AuthenticationError(
                "This API key is mistyped or cut off: its checksum does not fit. Copy it again."
            )
        digest, moment = accounts.hash_key(key), time.monotonic()
        known = self._known.get(digest)
        if known is not None and moment - known.read_at < max_age:
            known.used_at = moment
            return known.stored
        found = await self._database.read(accounts.find_keys_by_hash, [digest])
        if digest not in found:
            self._known.pop(digest, None)
            raise AuthenticationError(
                "This API key is unknown or revoked. `waybill keys create` makes one."
            )
        if len(self._known) >= MAX_KEYS:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[digest] = _KnownKey(found[digest], moment, moment)
        return found[digest]

    async def _refresh(self) -> None:
        """Read the keys in use again. While this fails, each request reads its own key."""
        started = time.monotonic()
        for digest, known in list(self._known.items()):
            if known.used_at < started - IDLE_SECONDS:
                del self._known[digest]
        if not self._known:
            return
        found = await self._database.read(accounts.find_keys_by_hash, list(self._known))
        for digest, known in list(self._known.items()):
            if digest in found:
                known.stored, known.read_at = found[digest], started
            elif known.read_at < started:
                del self._known[digest]

    async def _record_use(self) -> None:
        """Write the times at which keys were used."""
        used, self._used = self._used, {}
        try:
            await asyncio.gather(
                *(
                    self._database.write_grouped(accounts.mark_used_many, KeyUse(key_id, at))
                    for key_id, at in used.items()
                )
            )
        except Exception as error:  # noqa: BLE001  # these times are lost, and nothing else
            log.warning("keyring.use_not_recorded", error=str(error))


def actor_of(request: Request, principal: Principal) -> Actor:
    """Return the caller as the audit log names it."""
    address = request.client.host if request.client else None
    return Actor(principal.actor, principal.label or None, address)


def _read_key(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None and (key := request.headers.get("x-api-key", "").strip()):
        return key
    if header is None and SESSION_COOKIE in request.cookies:
        return None
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AuthenticationError(
            "No API key: send the header `Authorization: Bearer <key>` or `x-api-key: <key>`.",
            param="Authorization",
        )
    return key.strip()


SESSION_COOKIE = "waybill_session"
WORKSPACE_HEADER = "x-waybill-workspace"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READING_ROUTES = ("/analytics/query",)
"""Ends of the paths of routes that change nothing, although their method is POST."""


async def authenticate_session(request: Request, database: Database) -> Principal:
    """Return the user who is signed in, in the workspace that `X-Waybill-Workspace` names.

    Raises AuthenticationError, and PermissionDeniedError for a write by a viewer, or by a page of
    another site.
    """
    workspace = read_header(request, WORKSPACE_HEADER)
    principal = await database.read(
        find_session_principal, request.cookies[SESSION_COOKIE], workspace
    )
    if principal is None:
        raise AuthenticationError("You are not signed in (any more), or not in this workspace.")
    if request.method not in SAFE_METHODS and not is_same_origin(request):
        raise PermissionDeniedError("A page of another site may not act for you.")
    refuse_viewers(request, principal)
    if _changes(request) and not principal.has_key:
        return await database.write(create_session_key, principal)
    return principal


def refuse_viewers(request: Request, principal: Principal) -> None:
    """Raise PermissionDeniedError for a viewer whose request changes something."""
    if _changes(request) and not principal.role.reaches(Role.MEMBER):
        raise PermissionDeniedError(
            "Changes need the role member or a higher one; yours is viewer."
        )


def _changes(request: Request) -> bool:
    """Return whether a request may change something."""
    return request.method not in SAFE_METHODS and not request.url.path.endswith(READING_ROUTES)


def is_same_origin(request: Request) -> bool:
    """Return whether a page of Waybill sent a request (Fetch Metadata, or Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] == request.headers.get("host")
