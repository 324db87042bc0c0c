"""Ledger entries to book. Amounts are signed nano-dollars; a balance is the sum of its entries.

Of a job: a *hold* (negative) at its submission, an *extend* (negative) if a fallback costs more,
then a *settle* (the holds less the cost) or a *release* (the holds). A *refund* returns a cost.
The entries of a terminal job sum to minus its cost. Unique indexes (`tables.LedgerEntry`) make a
second charge impossible. Of a workspace: *topup* and its *fee*, *grant* (the operator's own credit,
signed) and *withdrawal* (money returned to the payer), each with the payer's reference.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, insert

from broker.enums import EntryKind
from broker.ids import new_id
from broker.storage.frequent_statements import FrequentInsert
from broker.storage.tables import LedgerEntry, table


class NewEntry(NamedTuple):
    """A ledger entry to be written. Amounts in nano-dollars, times in Unix milliseconds."""

    id: str
    workspace_id: str
    kind: EntryKind
    created_at: int
    amount_nanos: int = 0  # change of the balance
    held_nanos: int = 0  # change of the open holds
    api_key_id: str | None = None  # None for an entry of the workspace
    job_id: str | None = None  # None for an entry of the workspace
    attempt: int = 0  # of an extension
    reference: str | None = None  # the payer's id of a payment


_INSERT = FrequentInsert(insert(table(LedgerEntry)), NewEntry._fields)


class BookedJob(Protocol):
    """A row of `jobs` with the columns that an entry names."""

    id: str
    workspace_id: str
    api_key_id: str


class HeldJob(BookedJob, Protocol):
    """A job with an open hold, in nano-dollars."""

    hold_nanos: int


def hold(*, job_id: str, workspace_id: str, api_key_id: str, nanos: int, now: int) -> NewEntry:
    """Hold the most that a job may cost."""
    return NewEntry(
        new_id("led_"),
        workspace_id,
        EntryKind.HOLD,
        now,
        amount_nanos=-nanos,
        held_nanos=nanos,
        api_key_id=api_key_id,
        job_id=job_id,
    )


def extend(job: BookedJob, *, attempt: int, nanos: int, now: int) -> NewEntry:
    """Hold `nanos` more for a job that moves to an endpoint that costs more."""
    entry = _of_job(EntryKind.EXTEND, job, now, amount_nanos=-nanos, held_nanos=nanos)
    return entry._replace(attempt=attempt)


def settle(job: HeldJob, *, cost_nanos: int, now: int) -> NewEntry:
    """Charge the cost of an answer and end the hold."""
    held = job.hold_nanos
    return _of_job(EntryKind.SETTLE, job, now, amount_nanos=held - cost_nanos, held_nanos=-held)


def release(job: HeldJob, *, now: int) -> NewEntry:
    """Return the hold of a job that ended without an answer."""
    held = job.hold_nanos
    return _of_job(EntryKind.RELEASE, job, now, amount_nanos=held, held_nanos=-held)


def refund(job: BookedJob, *, nanos: int, now: int) -> NewEntry:
    """Return the cost of a job; possible once for each job."""
    return _of_job(EntryKind.REFUND, job, now, amount_nanos=nanos)


def topup(*, workspace_id: str, nanos: int, now: int, reference: str) -> NewEntry:
    """Add a payment."""
    return _of_workspace(EntryKind.TOPUP, workspace_id, now, nanos, reference)


def fee(*, workspace_id: str, nanos: int, now: int, reference: str) -> NewEntry:
    """Take the platform's fee for the top-up with the same reference."""
    return _of_workspace(EntryKind.FEE, workspace_id, now, -nanos, reference)


def grant(*, workspace_id: str, nanos: int, now: int, reference: str | None = None) -> NewEntry:
    """Add credit of the operator's own; a negative amount corrects an earlier grant."""
    return _of_workspace(EntryKind.GRANT, workspace_id, now, nanos, reference)


def withdrawal(*, workspace_id: str, nanos: int, now: int, reference: str) -> NewEntry:
    """Take money that was returned to the payer."""
    return _of_workspace(EntryKind.WITHDRAWAL, workspace_id, now, -nanos, reference)


def append(connection: Connection, entries: Sequence[NewEntry]) -> None:
    """Write entries. Raises IntegrityError for an entry that is booked already."""
    _INSERT.run(connection, [each._asdict() for each in entries])


def _of_job(
    kind: EntryKind, job: BookedJob, now: int, *, amount_nanos: int, held_nanos: int = 0
) -> NewEntry:
    return NewEntry(
        new_id("led_"),
        job.workspace_id,
        kind,
        now,
        amount_nanos=amount_nanos,
        held_nanos=held_nanos,
        api_key_id=job.api_key_id,
        job_id=job.id,
    )


def _of_workspace(
    kind: EntryKind, workspace_id: str, now: int, amount_nanos: int, reference: str | None
) -> NewEntry:
    return NewEntry(
        new_id("led_"), workspace_id, kind, now, amount_nanos=amount_nanos, reference=reference
    )
