"""API keys administered: made, changed, deleted, each with its audit entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from broker import accounts
from broker.accounts import CallerKind, KnownKey, NewKey, audit
from broker.accounts.audit import Act, Actor
from broker.administration.names import check_name
from broker.administration.remains import Left, made_by
from broker.errors import InvalidRequestError, NotFoundError

TOLD = (
    "name", "kind", "everywhere", "disabled", "limit_nanos", "limit_reset",
    "include_byok_in_limit", "requests_per_minute", "max_concurrent_jobs", "allowed_models",
    "allowed_providers", "scopes", "created_by", "expires_at", "workspace_id",
)  # fmt: skip
"""The columns that the audit log tells of."""

NO_SCOPES = "[]"

__all__ = ["KeyWish", "KnownKey", "change", "create", "delete"]


@dataclass(frozen=True, slots=True)
class KeyWish:
    """A key to be made; `columns` as in `tables.ApiKey`."""

    workspace_id: str
    name: str
    kind: CallerKind = CallerKind.INFERENCE
    columns: Mapping[str, Any] = field(default_factory=dict)


def create(connection: Connection, actor: Actor, wish: KeyWish) -> NewKey:
    """Make a key, with no scopes unless it names some.

    Raises where a management key is given an inference key's limits.
    """
    check_name(wish.name)
    columns = dict(wish.columns)
    if wish.kind is CallerKind.MANAGEMENT:
        _refuse_limits(columns)
    elif columns.get("scopes") is None:
        columns["scopes"] = NO_SCOPES
    made = accounts.create_key(
        connection, wish.workspace_id, wish.name, kind=wish.kind.value, **columns
    )
    told = {"name": wish.name, "kind": wish.kind.value, **columns}
    act = Act("keys.create", made.id, wish.workspace_id, after=told)
    audit.note(connection, actor, act)
    return made


def change(connection: Connection, actor: Actor, row: Any, changes: Mapping[str, Any]) -> Any:
    """Set columns of a key (its row is given); return its new row."""
    if "name" in changes:
        check_name(changes["name"])
    if row.kind == CallerKind.MANAGEMENT.value:
        _refuse_limits(changes)
    accounts.change_key(connection, row.id, changes)
    known = {name: getattr(row, name) for name in TOLD}
    before, after = audit.difference(known, changes)
    audit.note(connection, actor, Act("keys.update", row.id, row.workspace_id, before, after))
    moved = changes.get("workspace_id", row.workspace_id)
    if moved != row.workspace_id:  # both workspaces are told
        audit.note(connection, actor, Act("keys.update", row.id, moved, before, after))
    return _found(connection, row.id)


def delete(connection: Connection, actor: Actor, row: Any) -> Left:
    """Delete a key: it opens nothing any more; jobs it submitted go on.

    Return what it made that is still there; the audit log has that, too.
    """
    left = made_by(connection, row)
    accounts.delete_key(connection, row.id)
    known = {name: getattr(row, name) for name in TOLD}
    told = {name: value for name, value in known.items() if value is not None}
    act = Act("keys.delete", row.id, row.workspace_id, before=told, after={"left": left})
    audit.note(connection, actor, act)
    return left


def _found(connection: Connection, key_id: str) -> Any:
    row = accounts.key_record(connection, key_id)
    if row is None:  # deleted meanwhile
        raise NotFoundError(f"There is no key {key_id}.", param="hash")
    return row


def _refuse_limits(columns: Mapping[str, Any]) -> None:
    for name in ("limit_nanos", "limit_reset", "allowed_models", "allowed_providers",
                 "requests_per_minute", "max_concurrent_jobs", "scopes"):  # fmt: skip
        if columns.get(name):
            shown = name.removesuffix("_nanos")
            raise InvalidRequestError(
                f"{shown}: a management key runs no inference, so there is nothing to limit.",
                param=shown,
            )
