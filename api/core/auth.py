"""Authentication: API keys of requests, and people signed in by the cookie of their browser.

Keys in use are read anew twice a second, all in one query.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from starlette.requests import Request

from api.core.headers import header
from broker import accounts
from broker.accounts import CallerKind, KeyUse, Principal, Role, Scope, StoredKey, access
from broker.accounts.audit import Actor
from broker.accounts.sessions import find_session_principal
from broker.background import end_tasks
from broker.clock import now_ms
from broker.errors import AuthenticationError, PermissionDeniedError
from broker.storage.database import Database

FRESH_SECONDS = 0.9  # what was read longer ago is not trusted
REFRESH_SECONDS = 0.4
IDLE_SECONDS = 5.0  # a key not seen for so long is looked up when it comes again
NOTE_USE_SECONDS = 60.0
KEPT_KEYS = 10_000

log = structlog.get_logger()


@dataclass(slots=True)
class _Seen:
    """A key as it was read last, and when it was used."""

    known: StoredKey
    read_at: float
    used_at: float


class Keyring:
    """Keys seen lately, by hash."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, _Seen] = {}
        self._used: dict[str, int] = {}  # key id → when, not yet written
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        for service in (self._refresh(), self._note_use()):
            self._tasks.add(asyncio.create_task(service))

    async def close(self) -> None:
        await end_tasks(self._tasks)
        await self._write_use()

    async def principal(self, request: Request) -> Principal:
        """Return whose request this is: of a key, or of whoever is signed in.

        Raises AuthenticationError, and PermissionDeniedError for a viewer who writes.
        """
        return await self._principal(request, FRESH_SECONDS)

    async def _principal(self, request: Request, fresh_seconds: float) -> Principal:
        key = _bearer(request)
        if key is None:
            return await signed_in(request, self._database)
        known = await self._known(key, fresh_seconds)
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
        """Return whose request this is. Raises PermissionDeniedError without the scope."""
        principal = await self.principal(request)
        access.check_scope(principal, scope)
        return principal

    async def administrator(self, request: Request, least: Role = Role.ADMIN) -> Principal:
        """Return who administers here. Raises PermissionDeniedError for anyone else.

        What they may do is read now, so that somebody demoted has no second left to undo it.
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

    async def _known(self, key: str, fresh_seconds: float = FRESH_SECONDS) -> StoredKey:
        if accounts.is_mistyped(key):
            raise AuthenticationError(
                "This API key is mistyped or cut off: its checksum does not fit. Copy it again."
            )
        digest, moment = accounts.hash_key(key), time.monotonic()
        seen = self._seen.get(digest)
        if seen is not None and moment - seen.read_at < fresh_seconds:
            seen.used_at = moment
            return seen.known
        found = await self._database.read(accounts.find_keys_by_hash, [digest])
        if digest not in found:
            self._seen.pop(digest, None)
            raise AuthenticationError(
                "This API key is unknown or revoked. `waybill keys create` makes one."
            )
        if len(self._seen) >= KEPT_KEYS:
            del self._seen[next(iter(self._seen))]  # the one known longest
        self._seen[digest] = _Seen(found[digest], moment, moment)
        return found[digest]

    async def _refresh(self) -> None:
        """Read the keys in use again, for as long as the process lives."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            started = time.monotonic()
            idle = [
                key for key, seen in self._seen.items() if seen.used_at < started - IDLE_SECONDS
            ]
            for digest in idle:
                del self._seen[digest]
            if not self._seen:
                continue
            try:
                found = await self._database.read(accounts.find_keys_by_hash, list(self._seen))
            except Exception as error:  # noqa: BLE001  # then each request looks for itself
                log.warning("keyring.refresh_failed", error=str(error))
                continue
            for digest, seen in list(self._seen.items()):
                if digest in found:
                    seen.known, seen.read_at = found[digest], started
                elif seen.read_at < started:
                    del self._seen[digest]

    async def _note_use(self) -> None:
        """Write when keys were used, a minute's worth at a time."""
        while True:
            await asyncio.sleep(NOTE_USE_SECONDS)
            await self._write_use()

    async def _write_use(self) -> None:
        used, self._used = self._used, {}
        try:
            await asyncio.gather(
                *(
                    self._database.write_grouped(accounts.mark_used_many, KeyUse(key_id, at))
                    for key_id, at in used.items()
                )
            )
        except Exception as error:  # noqa: BLE001  # a nicety: the next minute tells it
            log.warning("keyring.use_not_noted", error=str(error))


def actor_of(request: Request, principal: Principal) -> Actor:
    """Return who acts, for the audit log."""
    address = request.client.host if request.client else None
    return Actor(principal.actor, principal.label or None, address)


def _bearer(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None and SESSION_COOKIE in request.cookies:
        return None
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AuthenticationError(
            "No API key: send the header `Authorization: Bearer <key>`.", param="Authorization"
        )
    return key.strip()


SESSION_COOKIE = "waybill_session"
WORKSPACE_HEADER = "x-waybill-workspace"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def signed_in(request: Request, database: Database) -> Principal:
    """Return who is signed in, acting in the workspace that `X-Waybill-Workspace` names.

    Raises AuthenticationError, and PermissionDeniedError for a page of another site that writes in
    the user's name, or for a viewer who writes.
    """
    wanted = header(request, WORKSPACE_HEADER)
    principal = await database.read(find_session_principal, request.cookies[SESSION_COOKIE], wanted)
    if principal is None:
        raise AuthenticationError("You are not signed in (any more), or not in this workspace.")
    if request.method not in SAFE_METHODS and not is_same_origin(request):
        raise PermissionDeniedError("A page of another site may not act for you.")
    refuse_viewers(request, principal)
    return principal


def refuse_viewers(request: Request, principal: Principal) -> None:
    """Raise PermissionDeniedError where a viewer changes something."""
    if request.method not in SAFE_METHODS and not principal.role.reaches(Role.MEMBER):
        raise PermissionDeniedError(
            "Changes need the role member or a higher one; yours is viewer."
        )


def is_same_origin(request: Request) -> bool:
    """Return whether one of our own pages sent this (Fetch Metadata, or Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] == request.headers.get("host")
