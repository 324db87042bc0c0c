"""Recomputes the books from their entries and says where they do not hold."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, case, func, select

from broker.billing.ledger import chain
from broker.billing.ledger.balances import NOTHING, LedgerTotals, entry_totals
from broker.jobs.states import TERMINAL
from broker.storage.tables import Generation, Job, LedgerAccount, LedgerEntry, UsageRollup, table

READ_GROUP = 1_000

_entries = table(LedgerEntry)
_accounts = table(LedgerAccount)
_jobs = table(Job)
_generations = table(Generation)
_rollups = table(UsageRollup)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A place where the books do not hold."""

    where: str  # an entry's, account's, job's or workspace's id
    what: str


@dataclass(slots=True)
class Verdict:
    """What was looked at and what was found; the first flaw is the place to look at."""

    entries: int = 0
    unsealed: int = 0
    jobs: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)  # sequence and hash


def verify(connection: Connection, workspace_id: str | None = None) -> Verdict:
    """Recompute chain, totals, jobs and rollups: of one workspace, or of all.

    Reads entries one by one; memory does not grow with their number.
    """
    verdict = Verdict()
    sums = _check_chain(connection, workspace_id, verdict)
    _check_accounts(connection, workspace_id, sums, verdict)
    _check_jobs(connection, workspace_id, verdict)
    _check_rollups(connection, workspace_id, verdict)
    return verdict


def _check_chain(
    connection: Connection, workspace_id: str | None, verdict: Verdict
) -> dict[str, LedgerTotals]:
    """Walk each workspace's entries in order; return what accounts should have."""
    sums: dict[str, LedgerTotals] = defaultdict(lambda: NOTHING)
    broken: set[str] = set()
    for entry in _in_order(connection, workspace_id):
        verdict.entries += 1
        if entry.sequence is None:
            verdict.unsealed += 1
            continue
        for account in filter(None, (entry.workspace_id, entry.api_key_id)):
            sums[account] += entry_totals(entry)
        number, before = verdict.heads.get(entry.workspace_id, (0, chain.FIRST))
        verdict.heads[entry.workspace_id] = (entry.sequence, entry.hash)
        if entry.workspace_id in broken:
            continue
        if entry.sequence != number + 1:
            flaw = f"entry {number + 1} of {entry.workspace_id} is missing before this one"
        elif entry.hash != chain.link(before, entry.sequence, entry):
            flaw = f"entry {entry.sequence} of {entry.workspace_id} was changed after it was sealed"
        else:
            continue
        broken.add(entry.workspace_id)
        verdict.flaws.append(Flaw(entry.id, flaw))
    return sums


def _in_order(connection: Connection, workspace_id: str | None) -> Iterator[Any]:
    order = (_entries.c.workspace_id, _entries.c.sequence.is_(None), _entries.c.sequence)
    query = select(_entries).order_by(*order, _entries.c.id)
    if workspace_id is not None:
        query = query.where(_entries.c.workspace_id == workspace_id)
    return iter(connection.execute(query.execution_options(yield_per=READ_GROUP)))


def _check_accounts(
    connection: Connection,
    workspace_id: str | None,
    sums: dict[str, LedgerTotals],
    verdict: Verdict,
) -> None:
    query = select(_accounts).order_by(_accounts.c.id)
    if workspace_id is not None:
        query = query.where(_accounts.c.workspace_id == workspace_id)
    known = {row.id: row for row in connection.execute(query)}
    for id_ in sorted(known.keys() | sums.keys()):
        row, sum_ = known.get(id_), sums.get(id_, NOTHING)
        kept = NOTHING if row is None else _kept(row)
        if kept != sum_:
            what = f"the account says {kept}, its sealed entries add up to {sum_}"
            verdict.flaws.append(Flaw(id_, what))
        head = verdict.heads.get(id_, (0, chain.FIRST))
        if row is not None and (row.sequence, row.hash) != head:
            what = f"the chain ends at entry {head[0]}, but {row.sequence} entries were sealed"
            verdict.flaws.append(Flaw(id_, what))


def _kept(row: Any) -> LedgerTotals:
    return LedgerTotals(row.credited_nanos, row.spent_nanos, row.held_nanos)


def _check_jobs(connection: Connection, workspace_id: str | None, verdict: Verdict) -> None:
    """Each job is held once, ended once if it has ended, and charged what its answer cost."""
    for row in connection.execute(_jobs_with_books(workspace_id)):
        verdict.jobs += 1
        what = _job_flaw(row)
        if what is not None:
            verdict.flaws.append(Flaw(row.id, what))


def _jobs_with_books(workspace_id: str | None) -> Any:
    def count(*kinds: str) -> Any:
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
        select(_jobs.c.id, _jobs.c.state, _jobs.c.hold_nanos, books, _generations.c.cost_nanos)
        .outerjoin(books, books.c.job_id == _jobs.c.id)
        .outerjoin(_generations, _generations.c.job_id == _jobs.c.id)
        .order_by(_jobs.c.id)
        .execution_options(yield_per=READ_GROUP)
    )
    return query if workspace_id is None else query.where(_jobs.c.workspace_id == workspace_id)


def _job_flaw(row: Any) -> str | None:
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


def _check_rollups(connection: Connection, workspace_id: str | None, verdict: Verdict) -> None:
    """Hours, days and months each sum to what was charged."""
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
                verdict.flaws.append(Flaw(id_, what))
