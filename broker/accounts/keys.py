"""API keys: their form, rows and changes. Only the SHA-256 of a key is stored."""

import hashlib
import secrets
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from broker.clock import now_ms
from broker.enums import CallerKind, LimitReset
from broker.ids import new_id
from broker.storage.tables import ApiKey, Workspace, columns, table

KEY_PREFIX = "sk-wb-v1-"
BODY_LENGTH = 43  # 62 ** 43 > 2 ** 256
CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_key() -> str:
    """Return a new API key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(BODY_LENGTH))
    return KEY_PREFIX + body + _checksum(body)


def is_mistyped(key: str) -> bool:
    """Return whether a key has Waybill's form but a wrong checksum, so that it never existed.

    Other keys have no checksum: those chosen as WAYBILL_BOOTSTRAP_KEY, and those created before
    there were checksums.
    """
    if not key.startswith(KEY_PREFIX):
        return False
    rest = key.removeprefix(KEY_PREFIX)
    body, checksum = rest[:BODY_LENGTH], rest[BODY_LENGTH:]
    return not (rest.isascii() and len(body) == BODY_LENGTH and checksum == _checksum(body))


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def new_token() -> str:
    """Return a new secret for a cookie or a link."""
    return secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """Return the SHA-256 of a key or token, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def mask(key: str) -> str:
    """Return a key's label for lists: enough to recognise it, too little to use it."""
    shown = len(KEY_PREFIX) + 3 if key.startswith(KEY_PREFIX) else 9
    return f"{key[:shown]}…{key[-4:]}" if len(key) > 16 else "…"  # noqa: PLR2004


_keys = table(ApiKey)
_workspaces = table(Workspace)
_USED = update(_keys).where(_keys.c.id == bindparam("key_id")).values(last_used_at=bindparam("at"))


class KeyRow(NamedTuple):
    """A row of `api_keys`. Times are Unix milliseconds."""

    id: str
    workspace_id: str
    name: str
    label: str  # the key, masked
    hash: str  # SHA-256 of the key, in hex
    kind: CallerKind
    everywhere: bool  # it administers the whole installation
    disabled: bool
    limit_nanos: int | None
    limit_reset: LimitReset | None
    include_byok_in_limit: bool
    requests_per_minute: int | None
    max_concurrent_jobs: int | None
    allowed_models: str | None  # JSON list
    allowed_providers: str | None  # JSON list
    scopes: str | None  # JSON list; None = all
    created_by: str | None  # the id of a user
    expires_at: int | None
    last_used_at: int | None
    created_at: int
    updated_at: int | None


_SELECT = select(*columns(KeyRow, _keys)).where(_keys.c.deleted_at.is_(None))


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; its text cannot be read again."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key with the name of its workspace, as `waybill keys list` shows it."""

    id: str
    name: str
    label: str  # the key, masked
    workspace: str  # its name
    kind: str
    everywhere: bool  # it administers the whole installation
    disabled: bool
    created_at: int
    expires_at: int | None
    last_used_at: int | None


def create_key(
    connection: Connection, workspace_id: str, name: str, *, key: str | None = None, **columns: Any
) -> NewKey:
    """Insert a key (a new one unless `key` is given) and return it."""
    key = key or new_key()
    key_id = new_id("key_")
    now = now_ms()
    row = {
        "id": key_id,
        "workspace_id": workspace_id,
        "name": name,
        "label": mask(key),
        "hash": hash_key(key),
        "disabled": False,
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(insert(_keys).values(row | columns))
    return NewKey(key_id, key)


def list_keys(connection: Connection) -> list[ListedKey]:
    """Return the keys of every workspace, oldest first."""
    rows = connection.execute(
        select(
            _keys.c.id,
            _keys.c.name,
            _keys.c.label,
            _workspaces.c.name.label("workspace"),
            _keys.c.kind,
            _keys.c.everywhere,
            _keys.c.disabled,
            _keys.c.created_at,
            _keys.c.expires_at,
            _keys.c.last_used_at,
        )
        .join(_workspaces, _workspaces.c.id == _keys.c.workspace_id)
        .where(_keys.c.deleted_at.is_(None))
        .order_by(_keys.c.created_at, _keys.c.id)
    )
    return [ListedKey(**row) for row in rows.mappings()]


def disable_key(connection: Connection, key_id: str) -> bool:
    """Disable a key; return whether there is one with this id. Jobs it submitted go on."""
    done = connection.execute(
        update(_keys)
        .where(_keys.c.id == key_id, _keys.c.deleted_at.is_(None))
        .values(disabled=True, updated_at=now_ms())
    )
    return bool(done.rowcount)


def find_key(connection: Connection, hash_or_id: str) -> KeyRow | None:
    """Return the key with this hash or id, or None if there is none."""
    wanted = or_(_keys.c.hash == hash_or_id, _keys.c.id == hash_or_id)
    row = connection.execute(_SELECT.where(wanted)).first()
    return None if row is None else KeyRow(*row)


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """A filter of keys."""

    workspace_ids: Collection[str] | None  # None = of all workspaces
    include_disabled: bool = False
    include_expired: bool = True
    created_by: str | None = None


def find_keys(
    connection: Connection, which: KeyFilter, *, offset: int = 0, limit: int = 100
) -> Sequence[KeyRow]:
    """Return a page of keys, newest first."""
    query = _SELECT
    if which.workspace_ids is not None:
        query = query.where(_keys.c.workspace_id.in_(which.workspace_ids))
    if which.created_by is not None:
        query = query.where(_keys.c.created_by == which.created_by)
    if not which.include_disabled:
        query = query.where(_keys.c.disabled.is_(False))
    if not which.include_expired:
        query = query.where(or_(_keys.c.expires_at.is_(None), _keys.c.expires_at > now_ms()))
    newest_first = query.order_by(_keys.c.created_at.desc(), _keys.c.id.desc())
    return [KeyRow(*row) for row in connection.execute(newest_first.offset(offset).limit(limit))]


def change_key(connection: Connection, key_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a key."""
    connection.execute(
        update(_keys).where(_keys.c.id == key_id).values({**changes, "updated_at": now_ms()})
    )


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A use of a key."""

    key_id: str
    at: int


def mark_used_many(connection: Connection, used: Sequence[KeyUse]) -> Sequence[None]:
    """Write when keys were last used."""
    rows = sorted(used, key=lambda each: each.key_id)  # all transactions lock in the same order
    connection.execute(_USED, [{"key_id": each.key_id, "at": each.at} for each in rows])
    return [None] * len(used)


def delete_key(connection: Connection, key_id: str) -> None:
    """Delete a key; its row stays because its spending counts."""
    change_key(connection, key_id, {"deleted_at": now_ms(), "disabled": True})
