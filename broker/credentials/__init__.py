"""Provider credentials of workspaces (BYOK): stored encrypted, used in turn.

`records` (the rows), `live` (the credentials that a process knows). Which credential serves whom is
decided in `broker.routing.workspace_credentials`.
"""

from broker.credentials.live import LiveCredentials
from broker.credentials.records import (
    CredentialFilter,
    CredentialRefusal,
    CredentialRow,
    NewCredential,
    change,
    create,
    delete,
    find,
    list_credentials,
    record_refusal,
    rotate,
)

__all__ = [
    "CredentialFilter",
    "CredentialRefusal",
    "CredentialRow",
    "LiveCredentials",
    "NewCredential",
    "change",
    "create",
    "delete",
    "find",
    "list_credentials",
    "record_refusal",
    "rotate",
]
