"""Number new entries, chain them by hash, and add them to their accounts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, func, insert, literal, select, update

from broker.billing.ledger.balances import NOTHING, LedgerTotals, entry_totals
from broker.enums import EntryKind
from broker.storage.frequent_statements import FrequentQuery, FrequentUpdate
from broker.storage.tables import LedgerAccount, LedgerEntry, columns, table

FIRST = ""  # the hash before the first entry of a workspace


class EntryRow(NamedTuple):
    """A row of `ledger_entries`."""

    id: str
    workspace_id: str
    api_key_id: str | None
    job_id: str | None
    kind: EntryKind
    attempt: int
    amount_nanos: int
    held_nanos: int
    reference: str | None
    created_at: int  # Unix milliseconds
    sequence: int | None  # None until the entry is chained
    hash: str | None  # likewise


def link(previous: str, sequence: int, entry: EntryRow) -> str:
    """Return SHA-256, in hex, over the previous hash and this entry as a JSON list."""
    content = orjson.dumps(
        [
            previous,
            sequence,
            entry.id,
            entry.workspace_id,
            entry.api_key_id,
            entry.job_id,
            entry.kind,
            entry.attempt,
            entry.amount_nanos,
            entry.held_nanos,
            entry.reference,
            entry.created_at,
        ]
    )
    return hashlib.sha256(content).hexdigest()


CHAIN_GROUP = 100  # entries in one transaction: a few milliseconds
ENDINGS = frozenset({"settle", "release"})  # each terminal job has one of them

_entries = table(LedgerEntry)
_accounts = table(LedgerAccount)
_TURN = select(func.pg_try_advisory_xact_lock(72_618_312))  # any number, the same everywhere
_UNCHAINED = FrequentQuery[EntryRow](
    select(*columns(EntryRow, _entries))
    .where(_entries.c.sequence.is_(None))
    .order_by(_entries.c.workspace_id, _entries.c.id)
    .limit(CHAIN_GROUP)
)
_ANY_UNCHAINED = (
    select(literal(1)).select_from(_entries).where(_entries.c.sequence.is_(None)).limit(1)
)
_ACCOUNTS = (
    select(_accounts)
    .where(_accounts.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_accounts.c.id)
    .with_for_update()
)
_CHAIN = FrequentUpdate(
    update(_entries)
    .where(_entries.c.id == bindparam("of_entry"))
    .values(sequence=bindparam("sequence"), hash=bindparam("hash"))
)
_INSERT_ACCOUNTS = insert(_accounts)
_COUNTED = ("credited_nanos", "spent_nanos", "held_nanos", "sequence", "hash")
_UPDATE_ACCOUNTS = FrequentUpdate(
    update(_accounts)
    .where(_accounts.c.id == bindparam("of_account"))
    .values({name: bindparam(name) for name in _COUNTED})
)


class Chained(NamedTuple):
    """The number of entries that were chained, and the jobs whose end is among them."""

    entries: int = 0
    ended: Sequence[str] = ()


@dataclass(slots=True)
class _Account:
    """A ledger account while entries are added to it."""

    id: str
    workspace_id: str
    is_new: bool = True
    totals: LedgerTotals = NOTHING
    sequence: int = 0
    hash: str = FIRST

    def row(self) -> dict[str, Any]:
        return {
            "credited_nanos": self.totals.credited,
            "spent_nanos": self.totals.spent,
            "held_nanos": self.totals.held,
            "sequence": self.sequence,
            "hash": self.hash,
        }


def has_new_entries(connection: Connection) -> bool:
    """Return whether an entry is not chained yet. Change nothing."""
    return connection.execute(_ANY_UNCHAINED).first() is not None


def chain_entries(connection: Connection) -> Chained:
    """Chain up to CHAIN_GROUP entries; do nothing while another process chains."""
    if connection.dialect.name == "postgresql" and not connection.execute(_TURN).scalar_one():
        return Chained()
    entries = _UNCHAINED.all(connection, {})
    if not entries:
        return Chained()
    accounts = _load(connection, entries)
    chained = []
    for entry in entries:
        account = accounts[entry.workspace_id]
        account.sequence += 1
        account.hash = link(account.hash, account.sequence, entry)
        chained.append({"of_entry": entry.id, "sequence": account.sequence, "hash": account.hash})
        added = entry_totals(entry)
        for id_ in _accounts_of(entry):
            accounts[id_].totals += added
    _CHAIN.run(connection, chained)
    _save(connection, list(accounts.values()))
    ended = [entry.job_id for entry in entries if entry.kind in ENDINGS and entry.job_id]
    return Chained(len(chained), ended)


def _accounts_of(entry: EntryRow) -> list[str]:
    """Return the ids of an entry's accounts: its workspace's, and its key's."""
    return [entry.workspace_id, *([entry.api_key_id] if entry.api_key_id else [])]


def _load(connection: Connection, entries: Sequence[EntryRow]) -> dict[str, _Account]:
    owner = {id_: entry.workspace_id for entry in entries for id_ in _accounts_of(entry)}
    accounts = {id_: _Account(id_, owner[id_]) for id_ in sorted(owner)}
    for row in connection.execute(_ACCOUNTS, {"ids": list(accounts)}):
        totals = LedgerTotals(row.credited_nanos, row.spent_nanos, row.held_nanos)
        accounts[row.id] = _Account(row.id, row.workspace_id, False, totals, row.sequence, row.hash)
    return accounts


def _save(connection: Connection, accounts: Sequence[_Account]) -> None:
    new = [each for each in accounts if each.is_new]
    known = [each for each in accounts if not each.is_new]
    if new:
        rows = [{"id": each.id, "workspace_id": each.workspace_id, **each.row()} for each in new]
        connection.execute(_INSERT_ACCOUNTS, rows)
    _UPDATE_ACCOUNTS.run(connection, [{"of_account": each.id, **each.row()} for each in known])
