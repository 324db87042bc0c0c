"""The append-only ledger of payments, holds and charges.

`entries` (the kinds of entries), `balances` (sums), `chain` (numbers, hashes and adds up entries),
`verification` (recomputes all of it), `listing` (pages of entries).

The totals of a workspace are its `ledger_accounts` row, which covers the chained entries, plus the
entries of the last seconds that are not chained yet. The hot path only inserts, so that no row is
updated by every request and no counter can drift.
"""

from broker.billing.ledger.balances import (
    NOTHING,
    LedgerTotals,
    balance,
    key_totals,
    lock,
    lock_totals,
    totals,
)
from broker.billing.ledger.chain import (
    CHAIN_GROUP,
    Chained,
    EntryRow,
    chain_entries,
    has_new_entries,
)
from broker.billing.ledger.entries import (
    BookedJob,
    HeldJob,
    NewEntry,
    append,
    extend,
    fee,
    grant,
    hold,
    refund,
    release,
    settle,
    topup,
    withdrawal,
)
from broker.billing.ledger.listing import list_entries
from broker.billing.ledger.verification import Flaw, Verification, verify
from broker.enums import EntryKind

__all__ = [
    "CHAIN_GROUP",
    "NOTHING",
    "BookedJob",
    "Chained",
    "EntryKind",
    "EntryRow",
    "Flaw",
    "HeldJob",
    "LedgerTotals",
    "NewEntry",
    "Verification",
    "append",
    "balance",
    "chain_entries",
    "extend",
    "fee",
    "grant",
    "has_new_entries",
    "hold",
    "key_totals",
    "list_entries",
    "lock",
    "lock_totals",
    "refund",
    "release",
    "settle",
    "topup",
    "totals",
    "verify",
    "withdrawal",
]
