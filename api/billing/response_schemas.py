"""Answers of the routes of credits and budgets, for the OpenAPI document.

Amounts are US dollars, times ISO 8601.
"""

from pydantic import BaseModel, Field

from broker.enums import BudgetScope, EntryKind
from broker.usage import Reset


class Balance(BaseModel):
    """The credit and the spending of a workspace."""

    total_credits: float = Field(description="The sum of all payments.")
    total_usage: float = Field(description="The sum of all costs.")
    held: float = Field(description="The sum of the holds of jobs that have not ended.")
    balance: float = Field(description="Credit less costs and holds.")


class Credits(Balance):
    """The balance of the caller's workspace."""

    unlimited: bool = Field(description="Whether the workspace needs no credit.")


class CreditsAnswer(BaseModel):
    """The balance of a workspace."""

    data: Credits = Field(description="The balance.")


class BookedCredits(Balance):
    """A booked payment, and the balance after it."""

    workspace_id: str = Field(description="The id of the workspace.")
    reference: str = Field(description="The reference of the payment.")
    fee: float = Field(description="The fee that was deducted from the payment.")


class BookedCreditsAnswer(BaseModel):
    """A booked payment."""

    data: BookedCredits = Field(description="The payment, and the balance after it.")


class CheckoutPage(BaseModel):
    """A page of the payment provider."""

    url: str = Field(description="The URL of the page.")


class CheckoutAnswer(BaseModel):
    """A page to pay on."""

    data: CheckoutPage = Field(description="The page.")


class StripeReceipt(BaseModel):
    """A confirmation to Stripe."""

    received: bool = Field(description="True.")


class ShownLedgerEntry(BaseModel):
    """One booking of a workspace. Entries never change."""

    id: str = Field(description="The id of the entry (`led_…`).")
    object: str = Field(description="`ledger_entry`.")
    created_at: str = Field(description="The time of the booking.")
    kind: EntryKind = Field(
        description="`hold` and `extend` reserve, `settle` and `release` end a job, `refund` gives "
        "its cost back; `topup`, `fee`, `grant` and `withdrawal` are of the workspace."
    )
    amount: float = Field(description="The change of the balance.")
    held: float = Field(description="The change of the open holds.")
    job_id: str | None = Field(description="The id of the job; null for a payment.")
    api_key_id: str | None = Field(description="The id of the key of the job.")
    reference: str | None = Field(description="The payer's own id of a payment.")
    sequence: int | None = Field(
        description="The number in the chain of the workspace; null until it is chained, within "
        "seconds."
    )
    hash: str | None = Field(
        description="SHA-256 over the entry and the hash of the one before; null until then."
    )


class LedgerPage(BaseModel):
    """A page of ledger entries, newest first."""

    object: str = Field(description="`list`.")
    data: list[ShownLedgerEntry] = Field(description="The entries.")
    first_id: str | None = Field(description="The id of the first entry of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")


class Budget(BaseModel):
    """A budget, with the spending of the current period."""

    id: str = Field(description="The id of the budget (`bud_…`).")
    workspace_id: str = Field(description="The id of the workspace.")
    scope: BudgetScope = Field(description="Whose spending is limited.")
    subject_id: str = Field(description="The id of the workspace, member or key.")
    reset_interval: Reset | None = Field(description="The period; null without end.")
    limit_usd: float = Field(description="The limit for one period.")
    spend_usd: float = Field(description="The costs of the current period.")
    held_usd: float = Field(description="The holds of jobs that have not ended.")
    remaining_usd: float = Field(description="The rest of the limit, at least 0.")
    resets_at: str | None = Field(description="The end of the period; null without end.")
    soft: bool = Field(description="Whether the budget sends events but refuses nothing.")
    created_at: str = Field(description="The time of creation.")
    updated_at: str = Field(description="The time of the last change.")


class BudgetAnswer(BaseModel):
    """One budget."""

    data: Budget = Field(description="The budget.")


class BudgetList(BaseModel):
    """All budgets of a workspace."""

    data: list[Budget] = Field(description="The budgets.")


class DeletedBudget(BaseModel):
    """A confirmation."""

    deleted: bool = Field(description="True.")
