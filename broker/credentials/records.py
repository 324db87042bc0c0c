"""Rows of provider credentials of workspaces; encrypt all stored secrets with a new key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy import delete as delete_from

from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.security.encryption import Encryption
from broker.security.secret_values import LONGEST, InvalidSecretError, clean_secret
from broker.storage.tables import (
    ProviderCredential,
    WebhookEndpoint,
    WebhookSecret,
    columns,
    table,
)


def read_key(given: str) -> str:
    """Return a provider's key without spaces around it.

    Raises InvalidRequestError, which does not repeat the key.
    """
    try:
        key = clean_secret(given, "key")
    except InvalidSecretError as error:
        raise InvalidRequestError(str(error), param="key") from None
    if not key:
        raise InvalidRequestError(f"key: expected 1 to {LONGEST:,} characters.", param="key")
    return key


SHOWN = 4  # characters at either end of a key
LONG = 16  # shorter keys are not shown at all
MAX_ERROR = 500  # characters that are kept

_credentials = table(ProviderCredential)


class CredentialRow(NamedTuple):
    """A row of `provider_credentials`. Times are Unix milliseconds."""

    id: str
    workspace_id: str
    provider: str
    name: str | None
    label: str  # the key, masked
    encrypted_secret: str
    sort_order: int  # among the keys of this provider; lower ones are tried first
    is_fallback: bool  # tried after the installation's key
    is_required: bool  # the installation's key is not used for the models of this one
    is_byok_only: bool  # the installation's key is not used for this provider
    disabled: bool
    disabled_reason: str | None  # None: disabled by its owner
    last_error: str | None
    last_error_at: int | None
    allowed_models: str | None  # JSON list of slugs
    allowed_key_ids: str | None  # JSON list
    allowed_user_ids: str | None  # JSON list
    created_by: str | None
    created_at: int
    updated_at: int


_SELECT = select(*columns(CredentialRow, _credentials))


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential to store."""

    workspace_id: str
    provider: str
    encrypted_secret: str
    label: str
    columns: Json = field(default_factory=dict)  # further columns of the row


@dataclass(frozen=True, slots=True)
class CredentialFilter:
    """A filter of credentials."""

    workspace_ids: Collection[str] | None  # None = of all workspaces
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialRefusal:
    """A provider's refusal of a credential. A permanent one disables the credential."""

    credential_id: str
    reason: str
    is_permanent: bool
    now: int


def label_of(key: str) -> str:
    """Return a credential's label for lists: enough to recognise it, too little to use it."""
    return f"{key[:SHOWN]}…{key[-SHOWN:]}" if len(key) > LONG else "…"


def create(connection: Connection, new: NewCredential) -> CredentialRow:
    """Insert a credential after the workspace's others of this provider; return its row."""
    after = select(func.coalesce(func.max(_credentials.c.sort_order) + 1, 0)).where(
        _credentials.c.workspace_id == new.workspace_id,
        _credentials.c.provider == new.provider,
    )
    now = now_ms()
    row = {
        "id": new_id("byok_"),
        "workspace_id": new.workspace_id,
        "provider": new.provider,
        "label": new.label,
        "encrypted_secret": new.encrypted_secret,
        "sort_order": connection.execute(after).scalar_one(),
        "created_at": now,
        "updated_at": now,
        **dict.fromkeys(("is_fallback", "is_required", "is_byok_only", "disabled"), False),
        **new.columns,
    }
    connection.execute(insert(_credentials).values(row))
    inserted = connection.execute(_SELECT.where(_credentials.c.id == row["id"])).one()
    return CredentialRow(*inserted)


def find(connection: Connection, credential_id: str) -> CredentialRow | None:
    row = connection.execute(_SELECT.where(_credentials.c.id == credential_id)).first()
    return None if row is None else CredentialRow(*row)


def list_credentials(
    connection: Connection, which: CredentialFilter, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[CredentialRow], int]:
    """Return a page of credentials in the order in which they are tried, and their total number."""
    query = _SELECT
    if which.workspace_ids is not None:
        query = query.where(_credentials.c.workspace_id.in_(which.workspace_ids))
    if which.provider is not None:
        query = query.where(_credentials.c.provider == which.provider)
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    ordered = query.order_by(
        *(_credentials.c.workspace_id, _credentials.c.provider, _credentials.c.is_fallback),
        *(_credentials.c.sort_order, _credentials.c.id),
    )
    page = connection.execute(ordered.offset(offset).limit(limit))
    return [CredentialRow(*row) for row in page], int(total)


def change(connection: Connection, credential_id: str, changes: Json) -> CredentialRow | None:
    """Set columns and return the new row, or None if there is no such credential.

    A credential that is enabled again, or that gets another key, loses its earlier errors.
    """
    if changes.get("disabled") is False or "encrypted_secret" in changes:
        changes = {**changes, **dict.fromkeys(("disabled_reason", "last_error", "last_error_at"))}
    connection.execute(
        update(_credentials)
        .where(_credentials.c.id == credential_id)
        .values(**changes, updated_at=now_ms())
    )
    return find(connection, credential_id)


def delete(connection: Connection, credential_id: str) -> bool:
    done = connection.execute(delete_from(_credentials).where(_credentials.c.id == credential_id))
    return bool(done.rowcount)


def record_refusal(connection: Connection, refusal: CredentialRefusal) -> CredentialRow | None:
    """Record a refusal; return the row of the credential if it was disabled by this."""
    reason = refusal.reason[:MAX_ERROR]
    values: Json = {"last_error": reason, "last_error_at": refusal.now}
    if refusal.is_permanent:
        values |= {"disabled": True, "disabled_reason": reason, "updated_at": now_ms()}
    recorded = connection.execute(
        update(_credentials)
        .where(_credentials.c.id == refusal.credential_id, _credentials.c.disabled.is_(False))
        .values(values)
    )
    was_disabled = recorded.rowcount and refusal.is_permanent
    return find(connection, refusal.credential_id) if was_disabled else None


def version(connection: Connection) -> tuple[int, int]:
    """Return a value that changes whenever a credential is added, changed or deleted."""
    query = select(func.count(), func.coalesce(func.max(_credentials.c.updated_at), 0))
    count, newest = connection.execute(query).one()
    return int(count), int(newest)


def list_all(connection: Connection) -> Sequence[CredentialRow]:
    """Return all rows, those of a workspace and provider in the order in which they are tried."""
    return list_credentials(connection, CredentialFilter(None), limit=2**31 - 1)[0]


ENCRYPTED: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (table(ProviderCredential), "id", ("encrypted_secret",)),
    (
        table(WebhookEndpoint),
        "id",
        ("secret", "previous_secret", "headers"),
    ),
    (
        table(WebhookSecret),
        "workspace_id",
        ("secret", "previous_secret"),
    ),
)
"""Every table with encrypted columns, its key column, and those columns."""


def rotate(connection: Connection, encryption: Encryption) -> int:
    """Encrypt all secrets with the newest key, in one transaction; return their number.

    Raises UnavailableError if none of the keys decrypts a secret: then nothing is changed.
    """
    return sum(_rotate(connection, encryption, *each) for each in ENCRYPTED)


def _rotate(
    connection: Connection, encryption: Encryption, table: Any, key: str, names: tuple[str, ...]
) -> int:
    query = select(*[table.c[name] for name in (key, *names)]).with_for_update()
    count = 0
    for row in connection.execute(query).mappings().all():
        renewed = {name: encryption.renew(row[name]) for name in names if row[name]}
        count += len(renewed)
        if renewed:
            connection.execute(update(table).where(table.c[key] == row[key]).values(renewed))
    return count
