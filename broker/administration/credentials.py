"""Administer workspace credentials, each change with its audit entry.

The audit log names the workspace, the provider and the options, and never the secret.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from broker import credentials
from broker.accounts import audit
from broker.accounts.audit import Act, Actor
from broker.credentials import NewCredential
from broker.errors import InvalidRequestError, NotFoundError

AUDITED = (
    "provider", "name", "label", "sort_order", "is_fallback", "is_required", "is_byok_only",
    "disabled", "allowed_models", "allowed_key_ids", "allowed_user_ids",
)  # fmt: skip
"""The columns that the audit log records."""


def create(connection: Connection, actor: Actor, wanted: NewCredential) -> Any:
    """Store a credential and return its row."""
    _check(wanted.columns)
    row = credentials.create(connection, wanted)
    audit.note(
        connection,
        actor,
        Act("credentials.create", row.id, row.workspace_id, after=_audit_fields(row)),
    )
    return row


def change(connection: Connection, actor: Actor, row: Any, changes: Mapping[str, Any]) -> Any:
    """Set columns of a key (its row is given); return its new row."""
    _check({**row._mapping, **changes})  # noqa: SLF001  # SQLAlchemy's name
    changed = credentials.change(connection, row.id, changes)
    if changed is None:  # deleted meanwhile
        raise NotFoundError(f"There is no key {row.id}.", param="id")
    before, after = audit.difference(_audit_fields(row), _audit_fields(changed))
    act = Act("credentials.update", row.id, row.workspace_id, before, after)
    audit.note(connection, actor, act)
    return changed


def delete(connection: Connection, actor: Actor, row: Any) -> None:
    """Delete a credential."""
    if credentials.delete(connection, row.id):
        act = Act("credentials.delete", row.id, row.workspace_id, before=_audit_fields(row))
        audit.note(connection, actor, act)


def _audit_fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in AUDITED}


def _check(columns: Mapping[str, Any]) -> None:
    if columns.get("is_fallback") and columns.get("is_byok_only"):
        raise InvalidRequestError(
            "is_byok_only: a fallback comes after the installation's key, which this rules out: "
            "choose one of is_fallback and is_byok_only.",
            param="is_byok_only",
        )
