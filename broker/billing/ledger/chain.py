"""Number new entries, chain them to the ones before, and add them to their accounts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, func, insert, select, update

from broker.billing.ledger.balances import NOTHING, LedgerTotals, entry_totals
from broker.storage.tables import LedgerAccount, LedgerEntry, table

FIRST = ""  # what stands before the first entry of a workspace


def link(previous: str, sequence: int, entry: Any) -> str:
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


CHAIN_GROUP = 100  # entries a look: a few milliseconds
ENDINGS = frozenset({"settle", "release"})  # one of them a job, as it ends

_entries = table(LedgerEntry)
_accounts = table(LedgerAccount)
_TURN = select(func.pg_try_advisory_xact_lock(72_618_312))  # any number, the same everywhere
_UNSEALED = (
    select(_entries)
    .where(_entries.c.sequence.is_(None))
    .order_by(_entries.c.workspace_id, _entries.c.id)
    .limit(CHAIN_GROUP)
)
_ACCOUNTS = (
    select(_accounts)
    .where(_accounts.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_accounts.c.id)
    .with_for_update()
)
_SEAL = (
    update(_entries)
    .where(_entries.c.id == bindparam("of_entry"))
    .values(sequence=bindparam("sequence"), hash=bindparam("hash"))
)
_INSERT_ACCOUNTS = insert(_accounts)
_COUNTED = ("credited_nanos", "spent_nanos", "held_nanos", "sequence", "hash")
_UPDATE_ACCOUNTS = (
    update(_accounts)
    .where(_accounts.c.id == bindparam("of_account"))
    .values({name: bindparam(name) for name in _COUNTED})
)


class Chained(NamedTuple):
    """How many entries a look sealed, and which jobs' ends were among them."""

    entries: int = 0
    ended: Sequence[str] = ()


@dataclass(slots=True)
class _Account:
    """An account on its way from what it was to what it will be."""

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


def chain_many(connection: Connection, looks: Sequence[int]) -> Sequence[Chained]:
    """Seal up to SEAL_GROUP entries a look.

    One seals at a time: who finds another at it does nothing.
    """
    return [_chain(connection) for _ in looks]


def _chain(connection: Connection) -> Chained:
    if connection.dialect.name == "postgresql" and not connection.execute(_TURN).scalar_one():
        return Chained()
    entries = connection.execute(_UNSEALED).all()
    if not entries:
        return Chained()
    accounts = _load(connection, entries)
    sealed = []
    for entry in entries:
        account = accounts[entry.workspace_id]
        account.sequence += 1
        account.hash = link(account.hash, account.sequence, entry)
        sealed.append({"of_entry": entry.id, "sequence": account.sequence, "hash": account.hash})
        for id_ in _touched(entry):
            accounts[id_].totals += entry_totals(entry)
    connection.execute(_SEAL, sealed)
    _save(connection, list(accounts.values()))
    return Chained(len(sealed), [entry.job_id for entry in entries if entry.kind in ENDINGS])


def _touched(entry: Any) -> list[str]:
    """The accounts that an entry adds to: its workspace's, and its key's."""
    return [entry.workspace_id, *([entry.api_key_id] if entry.api_key_id else [])]


def _load(connection: Connection, entries: Sequence[Any]) -> dict[str, _Account]:
    owner = {id_: entry.workspace_id for entry in entries for id_ in _touched(entry)}
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
    if known:
        connection.execute(
            _UPDATE_ACCOUNTS, [{"of_account": each.id, **each.row()} for each in known]
        )
