"""Balances: the chained totals of an account, plus the entries that are not chained yet."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    case,
    func,
    select,
    union_all,
)

from broker.storage.frequent_statements import FrequentQuery, pipeline
from broker.storage.tables import LedgerAccount, LedgerEntry, Workspace, table
from broker.storage.text_lists import among

_entries = table(LedgerEntry)
_accounts = table(LedgerAccount)
_workspaces = table(Workspace)


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums of ledger entries, in nano-dollars."""

    credited: int = 0  # paid in and granted, less fees and withdrawals
    spent: int = 0  # charged for jobs, less refunds
    held: int = 0  # for jobs that have not ended

    @property
    def available(self) -> int:
        """The balance: the amount that may still be held."""
        return self.credited - self.spent - self.held

    def __add__(self, other: "LedgerTotals") -> "LedgerTotals":
        return LedgerTotals(
            self.credited + other.credited, self.spent + other.spent, self.held + other.held
        )


NOTHING = LedgerTotals()


class EntryAmounts(Protocol):
    """The amounts of a ledger entry, in nano-dollars."""

    @property
    def job_id(self) -> str | None: ...
    @property
    def amount_nanos(self) -> int: ...
    @property
    def held_nanos(self) -> int: ...


def entry_totals(entry: EntryAmounts) -> LedgerTotals:
    """Return the amounts that one entry adds to its accounts."""
    if entry.job_id is None:
        return LedgerTotals(credited=entry.amount_nanos)
    return LedgerTotals(spent=-entry.amount_nanos - entry.held_nanos, held=entry.held_nanos)


class _AccountSums(Protocol):
    """The sums of an account, or of its entries that are not chained yet."""

    id: str
    credited_nanos: int
    spent_nanos: int
    held_nanos: int


class _Locked(Protocol):
    id: str


def _statement(account: ColumnElement[str]) -> CompoundSelect[Any]:
    """Return one statement over both, so that each entry counts once while it is chained."""
    of_job = _entries.c.job_id.is_not(None)
    unchained = (
        select(
            account.label("id"),
            func.sum(case((of_job, 0), else_=_entries.c.amount_nanos)),
            func.sum(case((of_job, -_entries.c.amount_nanos - _entries.c.held_nanos), else_=0)),
            func.sum(_entries.c.held_nanos),
        )
        .where(_entries.c.sequence.is_(None), among(account, "ids"))
        .group_by(account)
    )
    chained = select(
        _accounts.c.id, _accounts.c.credited_nanos, _accounts.c.spent_nanos, _accounts.c.held_nanos
    ).where(among(_accounts.c.id, "ids"))
    return union_all(chained, unchained)


_OF_WORKSPACES = FrequentQuery[_AccountSums](_statement(_entries.c.workspace_id))
_OF_KEYS = FrequentQuery[_AccountSums](_statement(_entries.c.api_key_id))
_LOCK = FrequentQuery[_Locked](
    select(_workspaces.c.id)
    .where(among(_workspaces.c.id, "ids"))
    .order_by(_workspaces.c.id)
    .with_for_update(key_share=True)
)


def totals(connection: Connection, workspace_ids: Iterable[str]) -> dict[str, LedgerTotals]:
    """Return the totals of workspaces by id; zero for one without entries."""
    return _totals(connection, _OF_WORKSPACES, workspace_ids)


def key_totals(connection: Connection, key_ids: Iterable[str]) -> dict[str, LedgerTotals]:
    """Return the totals of API keys by id: their spending and holds."""
    return _totals(connection, _OF_KEYS, key_ids)


def _totals(
    connection: Connection, statement: FrequentQuery[_AccountSums], ids: Iterable[str]
) -> dict[str, LedgerTotals]:
    found = dict.fromkeys(sorted(set(ids)), NOTHING)
    if found:
        for row in statement.all(connection, {"ids": list(found)}):
            # PostgreSQL sums 64-bit integers as decimals
            found[row.id] += LedgerTotals(
                int(row.credited_nanos), int(row.spent_nanos), int(row.held_nanos)
            )
    return found


def balance(connection: Connection, workspace_id: str) -> int:
    """Return the balance in nano-dollars: credits less costs less open holds."""
    return totals(connection, [workspace_id])[workspace_id].available


def lock(connection: Connection, workspace_ids: Iterable[str]) -> None:
    """Lock the balances of workspaces against other holds until the commit.

    PostgreSQL locks the workspace rows in id order. Settlements are not blocked, because the check
    of a foreign key takes a weaker lock. SQLite has one writer.
    """
    ids = sorted(set(workspace_ids))
    if ids and connection.dialect.name != "sqlite":
        _LOCK.send(connection, {"ids": ids})


def lock_totals(connection: Connection, workspace_ids: Collection[str]) -> dict[str, LedgerTotals]:
    """Lock the balances of workspaces (see `lock`), and return their totals by id."""
    if not workspace_ids:
        return {}
    with pipeline(connection):
        lock(connection, workspace_ids)
        return totals(connection, workspace_ids)
