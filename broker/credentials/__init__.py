"""Keys of providers that workspaces bring along (BYOK): kept sealed, used in turn.

In reading order: `records` (the rows), `live` (what a process knows of them), `rotation` (another
WAYBILL_SECRET_KEY). Which key serves whom is decided in `broker.routing.workspace_credentials`.
"""

from broker.credentials.live import LiveCredentials
from broker.credentials.records import (
    CredentialFilter,
    NewCredential,
    Refusal,
    change,
    create,
    delete,
    find,
    page,
    refuse_many,
)
from broker.credentials.rotation import rotate

__all__ = [
    "CredentialFilter",
    "LiveCredentials",
    "NewCredential",
    "Refusal",
    "change",
    "create",
    "delete",
    "find",
    "page",
    "refuse_many",
    "rotate",
]
