"""The append-only ledger: what was paid in, what is held for open jobs, what was charged.

`entries` (what may be booked), `balances` (what is left), `chain` (numbers and chains entries, and
adds them up), `verification` (recomputes everything).

A workspace's totals are its `ledger_accounts` row, which covers the chained entries, plus whatever
is not chained yet: a few seconds of entries. So the hot path only inserts: no row is updated by
everybody, and nothing can drift.
"""

from broker.billing.ledger.balances import NOTHING, LedgerTotals, balance, key_totals, lock, totals
from broker.billing.ledger.chain import CHAIN_GROUP, Chained, chain_many
from broker.billing.ledger.entries import (
    BookedJob,
    HeldJob,
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
from broker.billing.ledger.verification import Flaw, Verdict, verify

__all__ = [
    "CHAIN_GROUP",
    "NOTHING",
    "BookedJob",
    "Chained",
    "Flaw",
    "HeldJob",
    "LedgerTotals",
    "Verdict",
    "append",
    "balance",
    "chain_many",
    "extend",
    "fee",
    "grant",
    "hold",
    "key_totals",
    "lock",
    "refund",
    "release",
    "settle",
    "topup",
    "totals",
    "verify",
    "withdrawal",
]
