"""Administer workspace credentials, each change with its audit entry.

The audit log names the workspace, the provider and the options, and never the secret.
"""

from sqlalchemy import Connection

from broker import credentials
from broker.accounts import audit
from broker.accounts.audit import Actor, AuditedChange
from broker.completion import Json
from broker.credentials import CredentialRow, NewCredential
from broker.errors import InvalidRequestError, NotFoundError

AUDITED = (
    "provider", "name", "label", "sort_order", "is_fallback", "is_required", "is_byok_only",
    "disabled", "allowed_models", "allowed_key_ids", "allowed_user_ids",
)  # fmt: skip
"""The columns that the audit log records."""


def create(connection: Connection, actor: Actor, new: NewCredential) -> CredentialRow:
    """Store a credential and return its row."""
    _check(new.columns)
    row = credentials.create(connection, new)
    audit.record(
        connection,
        actor,
        AuditedChange("credentials.create", row.id, row.workspace_id, after=_audit_fields(row)),
    )
    return row


def change(
    connection: Connection, actor: Actor, row: CredentialRow, changes: Json
) -> CredentialRow:
    """Set columns of a credential and return its new row."""
    _check(row._asdict() | changes)
    changed = credentials.change(connection, row.id, changes)
    if changed is None:  # deleted in the meantime
        raise NotFoundError(f"There is no key {row.id}.", param="id")
    before, after = audit.compare(_audit_fields(row), _audit_fields(changed))
    change = AuditedChange("credentials.update", row.id, row.workspace_id, before, after)
    audit.record(connection, actor, change)
    return changed


def delete(connection: Connection, actor: Actor, row: CredentialRow) -> None:
    """Delete a credential."""
    if credentials.delete(connection, row.id):
        change = AuditedChange(
            "credentials.delete", row.id, row.workspace_id, before=_audit_fields(row)
        )
        audit.record(connection, actor, change)


def _audit_fields(row: CredentialRow) -> Json:
    return {name: getattr(row, name) for name in AUDITED}


def _check(columns: Json) -> None:
    if columns.get("is_fallback") and columns.get("is_byok_only"):
        raise InvalidRequestError(
            "is_byok_only: a fallback comes after the installation's key, which this rules out: "
            "choose one of is_fallback and is_byok_only.",
            param="is_byok_only",
        )
