"""Every table. Times are Unix milliseconds, money is nano-dollars, JSON is text made by orjson.

Tables have no behaviour. Queries are built of a `table`; `columns` says what they read of it.
"""

from broker.tables.accounts import (
    ApiKey,
    AuditEntry,
    Member,
    OneTimeToken,
    User,
    UserSession,
    Workspace,
)
from broker.tables.batches import Batch, BatchLine
from broker.tables.budgets import Budget, BudgetNotice
from broker.tables.catalog import CatalogImport, CatalogOffer
from broker.tables.coalescing import CoalescedJob
from broker.tables.columns import columns, table
from broker.tables.credentials import ProviderCredential
from broker.tables.files import StoredFile
from broker.tables.jobs import Attempt, Generation, Job, JobPayload
from broker.tables.ledger import LedgerAccount, LedgerEntry
from broker.tables.native_batches import NativeBatch, NativeLine
from broker.tables.presets import Preset, PresetVersion
from broker.tables.providers import PausedProvider
from broker.tables.usage import UsageRollup
from broker.tables.webhooks import Delivery, DeliveryAttempt, WebhookEndpoint, WebhookSecret

__all__ = [
    "ApiKey",
    "Attempt",
    "AuditEntry",
    "Batch",
    "BatchLine",
    "Budget",
    "BudgetNotice",
    "CatalogImport",
    "CatalogOffer",
    "CoalescedJob",
    "Delivery",
    "DeliveryAttempt",
    "Generation",
    "Job",
    "JobPayload",
    "LedgerAccount",
    "LedgerEntry",
    "Member",
    "NativeBatch",
    "NativeLine",
    "OneTimeToken",
    "PausedProvider",
    "Preset",
    "PresetVersion",
    "ProviderCredential",
    "StoredFile",
    "UsageRollup",
    "User",
    "UserSession",
    "WebhookEndpoint",
    "WebhookSecret",
    "Workspace",
    "columns",
    "table",
]
