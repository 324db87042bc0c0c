"""The rows of workspaces' provider credentials, encrypted; and their encryption with a new key."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy import delete as delete_from

from broker.clock import now_ms
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.security.encryption import Encryption
from broker.security.secret_values import LONGEST, InvalidSecretError, clean_secret
from broker.storage.tables import ProviderCredential, WebhookEndpoint, WebhookSecret, table


def read_key(given: str) -> str:
    """Return a key as it is sent. Raises InvalidRequestError that does not repeat it."""
    try:
        key = clean_secret(given, "key")
    except InvalidSecretError as error:
        raise InvalidRequestError(str(error), param="key") from None
    if not key:
        raise InvalidRequestError(f"key: expected 1 to {LONGEST:,} characters.", param="key")
    return key


SHOWN = 4  # characters at either end of a key
LONG = 16  # shorter keys are not shown at all
MOST_ERROR = 500

_credentials = table(ProviderCredential)


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential to store."""

    workspace_id: str
    provider: str
    sealed: str
    label: str
    columns: Mapping[str, Any] = field(default_factory=dict)  # what else is known of it


@dataclass(frozen=True, slots=True)
class CredentialFilter:
    """A filter of credentials."""

    workspace_ids: Collection[str] | None  # None = of all workspaces
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialRefusal:
    """A provider's refusal of a credential; `for_good` disables it."""

    credential_id: str
    why: str
    for_good: bool
    now: int


def label_of(key: str) -> str:
    """Return a credential's label for lists: enough to recognise it, too little to use it."""
    return f"{key[:SHOWN]}…{key[-SHOWN:]}" if len(key) > LONG else "…"


def create(connection: Connection, wanted: NewCredential) -> Any:
    """Insert a key behind the workspace's others for this provider; return its row."""
    after = select(func.coalesce(func.max(_credentials.c.sort_order) + 1, 0)).where(
        _credentials.c.workspace_id == wanted.workspace_id,
        _credentials.c.provider == wanted.provider,
    )
    now = now_ms()
    row = {
        "id": new_id("byok_"),
        "workspace_id": wanted.workspace_id,
        "provider": wanted.provider,
        "label": wanted.label,
        "sealed": wanted.sealed,
        "sort_order": connection.execute(after).scalar_one(),
        "created_at": now,
        "updated_at": now,
        **dict.fromkeys(("is_fallback", "is_required", "is_byok_only", "disabled"), False),
        **wanted.columns,
    }
    connection.execute(insert(_credentials).values(row))
    return find(connection, str(row["id"]))


def find(connection: Connection, credential_id: str) -> Any | None:
    return connection.execute(
        select(_credentials).where(_credentials.c.id == credential_id)
    ).first()


def list_credentials(
    connection: Connection, which: CredentialFilter, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[Any], int]:
    """Return keys in the order in which they are tried, and how many there are in all."""
    query = select(_credentials)
    if which.workspace_ids is not None:
        query = query.where(_credentials.c.workspace_id.in_(which.workspace_ids))
    if which.provider is not None:
        query = query.where(_credentials.c.provider == which.provider)
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    ordered = query.order_by(
        *(_credentials.c.workspace_id, _credentials.c.provider, _credentials.c.is_fallback),
        *(_credentials.c.sort_order, _credentials.c.id),
    )
    return connection.execute(ordered.offset(offset).limit(limit)).all(), int(total)


def change(connection: Connection, credential_id: str, changes: Mapping[str, Any]) -> Any:
    """Set columns; what is enabled again, or has another key, begins without its past refusals."""
    if changes.get("disabled") is False or "sealed" in changes:
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


def record_refusal(connection: Connection, refusal: CredentialRefusal) -> Any | None:
    """Record a refusal. Return the row of the credential if this disabled it."""
    why = refusal.why[:MOST_ERROR]
    values: dict[str, Any] = {"last_error": why, "last_error_at": refusal.now}
    if refusal.for_good:
        values |= {"disabled": True, "disabled_reason": why, "updated_at": now_ms()}
    noted = connection.execute(
        update(_credentials)
        .where(_credentials.c.id == refusal.credential_id, _credentials.c.disabled.is_(False))
        .values(values)
    )
    was_disabled = noted.rowcount and refusal.for_good
    return find(connection, refusal.credential_id) if was_disabled else None


def version(connection: Connection) -> tuple[int, int]:
    """Return what changes whenever a key is added, changed or deleted."""
    query = select(func.count(), func.coalesce(func.max(_credentials.c.updated_at), 0))
    count, newest = connection.execute(query).one()
    return int(count), int(newest)


def everything(connection: Connection) -> Sequence[Any]:
    """Return all rows, each workspace's and provider's in the order in which they are tried."""
    return list_credentials(connection, CredentialFilter(None), limit=2**31 - 1)[0]


SEALED: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (table(ProviderCredential), "id", ("sealed",)),
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
"""Every table with sealed columns, and what names its rows."""


def rotate(connection: Connection, seal: Encryption) -> int:
    """Seal everything with the newest key, in one transaction; return how many secrets there were.

    Raises UnavailableError where a secret opens with none of the keys: then nothing is changed.
    """
    return sum(_rotate(connection, seal, *each) for each in SEALED)


def _rotate(
    connection: Connection, seal: Encryption, table: Any, key: str, names: tuple[str, ...]
) -> int:
    columns = [table.c[name] for name in (key, *names)]
    done = 0
    for row in connection.execute(select(*columns).with_for_update()).mappings().all():
        anew = {name: seal.renew(row[name]) for name in names if row[name]}
        done += len(anew)
        if anew:
            connection.execute(update(table).where(table.c[key] == row[key]).values(anew))
    return done
