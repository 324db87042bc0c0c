"""Every table. Times are Unix milliseconds, money is nano-dollars, JSON is text made by orjson.

Tables have no behaviour. Queries are built of a `table`; `columns` says what they read of it.
"""

from broker.storage.tables.accounts import (
    ApiKey,
    AuditEntry,
    Member,
    OneTimeToken,
    ProviderCredential,
    User,
    UserSession,
    Workspace,
)
from broker.storage.tables.batches import Batch, BatchLine, NativeBatch, NativeLine
from broker.storage.tables.billing import (
    Budget,
    BudgetNotice,
    LedgerAccount,
    LedgerEntry,
    UsageRollup,
)
from broker.storage.tables.catalog import (
    CatalogImport,
    CatalogOffer,
    PausedProvider,
    Preset,
    PresetVersion,
)
from broker.storage.tables.columns import columns, table
from broker.storage.tables.documents import DocumentReading
from broker.storage.tables.evaluations import Evaluation, EvaluationCell, EvaluationPrompt
from broker.storage.tables.files import StoredFile
from broker.storage.tables.jobs import Attempt, CoalescedJob, Generation, Job, JobPayload
from broker.storage.tables.webhooks import Delivery, DeliveryAttempt, WebhookEndpoint, WebhookSecret

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
    "DocumentReading",
    "Evaluation",
    "EvaluationCell",
    "EvaluationPrompt",
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
