"""Recompute accounts, jobs and usage from the ledger entries, and report every difference."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from broker.billing.ledger import chain
from broker.billing.ledger.balances import NOTHING, LedgerTotals, entry_totals
from broker.billing.ledger.chain import EntryRow
from broker.jobs.states import TERMINAL
from broker.storage.tables import (
    Generation,
    Job,
    LedgerAccount,
    LedgerEntry,
    UsageRollup,
    columns,
    table,
)

READ_GROUP = 1_000

_entries = table(LedgerEntry)
_accounts = table(LedgerAccount)
_jobs = table(Job)
_generations = table(Generation)
_rollups = table(UsageRollup)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A difference between the ledger and what it should be."""

    where: str  # an entry's, account's, job's or workspace's id
    what: str


@dataclass(slots=True)
class Verification:
    """The counts and flaws of one verification; the first flaw is the one to investigate."""

    entries: int = 0
    unchained: int = 0  # entries without a place in the chain so far
    jobs: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    heads: dict[str, tuple[int, str | None]] = field(default_factory=dict)  # sequence and hash


def verify(connection: Connection, workspace_id: str | None = None) -> Verification:
    """Recompute chain, totals, jobs and rollups: of one workspace, or of all.

    Reads entries one by one; memory does not grow with their number.
    """
    result = Verification()
    sums = _check_chain(connection, workspace_id, result)
    _check_accounts(connection, workspace_id, sums, result)
    _check_jobs(connection, workspace_id, result)
    _check_rollups(connection, workspace_id, result)
    return result


def _check_chain(
    connection: Connection, workspace_id: str | None, result: Verification
) -> dict[str, LedgerTotals]:
    """Check each workspace's chain in order; return the expected totals by account."""
    sums: dict[str, LedgerTotals] = defaultdict(lambda: NOTHING)
    broken: set[str] = set()
    for entry in _in_order(connection, workspace_id):
        result.entries += 1
        if entry.sequence is None:
            result.unchained += 1
            continue
        for account in filter(None, (entry.workspace_id, entry.api_key_id)):
            sums[account] += entry_totals(entry)
        number, before = result.heads.get(entry.workspace_id, (0, chain.FIRST))
        result.heads[entry.workspace_id] = (entry.sequence, entry.hash)
        if entry.workspace_id in broken:
            continue
        if entry.sequence != number + 1:
            flaw = f"entry {number + 1} of {entry.workspace_id} is missing before this one"
        elif entry.hash != chain.link(before or chain.FIRST, entry.sequence, entry):
            flaw = (
                f"entry {entry.sequence} of {entry.workspace_id} was changed after it was chained"
            )
        else:
            continue
        broken.add(entry.workspace_id)
        result.flaws.append(Flaw(entry.id, flaw))
    return sums


def _in_order(connection: Connection, workspace_id: str | None) -> Iterator[EntryRow]:
    order = (_entries.c.workspace_id, _entries.c.sequence.is_(None), _entries.c.sequence)
    query = select(*columns(EntryRow, _entries)).order_by(*order, _entries.c.id)
    if workspace_id is not None:
        query = query.where(_entries.c.workspace_id == workspace_id)
    rows = connection.execute(query.execution_options(yield_per=READ_GROUP))
    return (EntryRow(*row) for row in rows)


def _check_accounts(
    connection: Connection,
    workspace_id: str | None,
    sums: dict[str, LedgerTotals],
    result: Verification,
) -> None:
    query = select(_accounts).order_by(_accounts.c.id)
    if workspace_id is not None:
        query = query.where(_accounts.c.workspace_id == workspace_id)
    known = {row.id: row for row in connection.execute(query)}
    for id_ in sorted(known.keys() | sums.keys()):
        row, sum_ = known.get(id_), sums.get(id_, NOTHING)
        stored = NOTHING
        if row is not None:
            stored = LedgerTotals(row.credited_nanos, row.spent_nanos, row.held_nanos)
        if stored != sum_:
            what = f"the account says {stored}, its chained entries add up to {sum_}"
            result.flaws.append(Flaw(id_, what))
        head = result.heads.get(id_, (0, chain.FIRST))
        if row is not None and (row.sequence, row.hash) != head:
            what = f"the chain ends at entry {head[0]}, but {row.sequence} entries were chained"
            result.flaws.append(Flaw(id_, what))


class _JobBooks(NamedTuple):
    """A job with the sums of its ledger entries. Amounts in nano-dollars."""

    id: str
    state: str
    hold_nanos: int
    holds: int | None  # None: it has no entries
    ends: int | None
    held: int | None
    cost: int | None
    cost_nanos: int | None  # of its generation; None: it has none


def _check_jobs(connection: Connection, workspace_id: str | None, result: Verification) -> None:
    """Check that each job has one hold, one end if it is terminal, and the cost of its answer."""
    for each in connection.execute(_jobs_with_entries(workspace_id)):
        row = _JobBooks(*each)
        result.jobs += 1
        what = _job_flaw(row)
        if what is not None:
            result.flaws.append(Flaw(row.id, what))


def _jobs_with_entries(workspace_id: str | None) -> Select[Any]:
    def count(*kinds: str) -> ColumnElement[int]:
        return func.sum(case((_entries.c.kind.in_(kinds), 1), else_=0))

    not_refunded = case(
        (_entries.c.kind == "refund", 0), else_=-_entries.c.amount_nanos - _entries.c.held_nanos
    )
    booked = (
        select(
            _entries.c.job_id,
            count("hold").label("holds"),
            count("settle", "release").label("ends"),
            func.sum(_entries.c.held_nanos).label("held"),
            func.sum(not_refunded).label("cost"),
        )
        .where(_entries.c.job_id.is_not(None))
        .group_by(_entries.c.job_id)
    )
    if workspace_id is not None:
        booked = booked.where(_entries.c.workspace_id == workspace_id)
    books = booked.subquery()
    query = (
        select(
            _jobs.c.id,
            _jobs.c.state,
            _jobs.c.hold_nanos,
            books.c.holds,
            books.c.ends,
            books.c.held,
            books.c.cost,
            _generations.c.cost_nanos,
        )
        .outerjoin(books, books.c.job_id == _jobs.c.id)
        .outerjoin(_generations, _generations.c.job_id == _jobs.c.id)
        .order_by(_jobs.c.id)
        .execution_options(yield_per=READ_GROUP)
    )
    return query if workspace_id is None else query.where(_jobs.c.workspace_id == workspace_id)


def _job_flaw(row: _JobBooks) -> str | None:
    ended = row.state in TERMINAL
    if row.holds != 1:
        return f"it was held {row.holds or 0} times"
    if row.ends != ended:
        return f"it is {row.state} and was settled or released {row.ends} times"
    expected = 0 if ended else row.hold_nanos
    if row.held != expected:
        return f"it is {row.state} and holds {row.held} nano-dollars instead of {expected}"
    cost = row.cost_nanos or 0  # also of a stream that its caller ended early
    if row.cost != cost:
        return f"it was charged {row.cost} nano-dollars for an answer of {cost}"
    return None


def _check_rollups(connection: Connection, workspace_id: str | None, result: Verification) -> None:
    """Check that hours, days and months each sum to the charges."""
    charged = (
        select(_entries.c.workspace_id, func.sum(-_entries.c.amount_nanos - _entries.c.held_nanos))
        .where(_entries.c.job_id.is_not(None), _entries.c.kind != "refund")
        .group_by(_entries.c.workspace_id)
    )
    counted = select(
        _rollups.c.workspace_id, _rollups.c.period, func.sum(_rollups.c.cost_nanos)
    ).group_by(_rollups.c.workspace_id, _rollups.c.period)
    if workspace_id is not None:
        charged = charged.where(_entries.c.workspace_id == workspace_id)
        counted = counted.where(_rollups.c.workspace_id == workspace_id)
    spent = {id_: int(sum_) for id_, sum_ in connection.execute(charged)}
    rolled = {(id_, period): int(sum_) for id_, period, sum_ in connection.execute(counted)}
    for id_ in sorted(spent.keys() | {id_ for id_, _ in rolled}):
        for period in ("hour", "day", "month"):
            counts = rolled.get((id_, period), 0)
            if counts != spent.get(id_, 0):
                what = f"the {period}s' usage is {counts}, the jobs' charges {spent.get(id_, 0)}"
                result.flaws.append(Flaw(id_, what))
