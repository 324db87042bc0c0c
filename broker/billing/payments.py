"""Prepaid credit: payments, fees, withdrawals and refunds of single jobs.

A payment is booked by `add` with the payer's own reference. A payment that is reported again
changes nothing.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from sqlalchemy import Connection, func, select

from broker.billing import ledger
from broker.errors import ConflictError, InvalidRequestError, NotFoundError
from broker.money import NANOS_PER_USD, nanos_from_usd, usd
from broker.settings import Settings
from broker.storage.tables import Job, LedgerEntry, Workspace, table

MOST_USD = 10_000_000  # of one payment; a larger amount is a wrong unit

_entries = table(LedgerEntry)
_jobs = table(Job)
_workspaces = table(Workspace)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of a workspace, in nano-dollars."""

    workspace_id: str
    nanos: int  # before the fee
    reference: str
    now: int
    fee_nanos: int = 0


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """The result of booking a payment, with the totals of the workspace afterwards."""

    is_new: bool  # False: it had been booked before
    totals: ledger.LedgerTotals


def fee_of(nanos: int, settings: Settings) -> int:
    """Return the fee in nano-dollars: a percentage, at least the configured minimum."""
    share = Decimal(nanos) * Decimal(settings.topup_fee_percent) / 100
    rounded = int(share.quantize(Decimal(1), ROUND_HALF_UP))
    return min(max(rounded, nanos_from_usd(settings.topup_fee_minimum_usd)), nanos)


def add(connection: Connection, payment: Payment) -> BookedPayment:
    """Book a payment, once per reference.

    Raises InvalidRequestError for an amount out of range, NotFoundError for an unknown
    workspace, ConflictError if the reference was booked with another amount.
    """
    _check_amount(payment.nanos)
    _lock(connection, payment.workspace_id)
    booked = _find_amount(connection, payment.workspace_id, "topup", payment.reference)
    if booked is not None and booked != payment.nanos:
        raise ConflictError(
            f"Reference {payment.reference!r} was booked with {usd(booked):g} USD: "
            "use another reference for another payment."
        )
    if booked is None:
        entries = [_entry(ledger.topup, payment, payment.nanos)]
        if payment.fee_nanos:
            entries.append(_entry(ledger.fee, payment, payment.fee_nanos))
        ledger.append(connection, entries)
    return BookedPayment(booked is None, _totals(connection, payment.workspace_id))


def withdraw(connection: Connection, payment: Payment) -> BookedPayment:
    """Book money returned to the payer, once per reference; the balance may become negative."""
    _check_amount(payment.nanos)
    _lock(connection, payment.workspace_id)
    booked = _find_amount(connection, payment.workspace_id, "withdrawal", payment.reference)
    if booked is None:
        ledger.append(connection, [_entry(ledger.withdrawal, payment, payment.nanos)])
    return BookedPayment(booked is None, _totals(connection, payment.workspace_id))


class _Entry(Protocol):
    def __call__(
        self, *, workspace_id: str, nanos: int, now: int, reference: str
    ) -> ledger.NewEntry: ...


def _entry(kind: _Entry, payment: Payment, nanos: int) -> ledger.NewEntry:
    return kind(
        workspace_id=payment.workspace_id,
        nanos=nanos,
        now=payment.now,
        reference=payment.reference,
    )


@dataclass(frozen=True, slots=True)
class Refund:
    """The refund of a job in nano-dollars; 0 if it was refunded before."""

    workspace_id: str
    nanos: int


def refund(connection: Connection, job_id: str, now: int) -> Refund:
    """Return the cost of a job to its workspace, once.

    Raises NotFoundError, or ConflictError for a job that was not charged.
    """
    job = connection.execute(select(_jobs).where(_jobs.c.id == job_id)).first()
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.")
    _lock(connection, job.workspace_id)
    of_job = select(
        func.sum(-_entries.c.amount_nanos - _entries.c.held_nanos),
        func.count().filter(_entries.c.kind == "settle"),
        func.count().filter(_entries.c.kind == "refund"),
    ).where(_entries.c.job_id == job_id)
    cost, settled, refunded = connection.execute(of_job).one()
    if not settled:
        raise ConflictError(f"Job {job_id} is {job.state} and was not charged.")
    if refunded or not cost:
        return Refund(job.workspace_id, 0)
    ledger.append(connection, [ledger.refund(job, nanos=int(cost), now=now)])
    return Refund(job.workspace_id, int(cost))


def _check_amount(nanos: int) -> None:
    if not 0 < nanos <= MOST_USD * NANOS_PER_USD:
        raise InvalidRequestError(
            f"amount: {usd(nanos):g} is not between 0 and {MOST_USD:,} US dollars.", param="amount"
        )


def _lock(connection: Connection, workspace_id: str) -> None:
    known = select(_workspaces.c.id).where(_workspaces.c.id == workspace_id)
    if connection.execute(known).first() is None:
        raise NotFoundError(f"There is no workspace {workspace_id}.")
    ledger.lock(connection, [workspace_id])


def _find_amount(
    connection: Connection, workspace_id: str, kind: str, reference: str
) -> int | None:
    """Return the amount of a booked payment in nano-dollars, or None if it is not booked."""
    return connection.execute(
        select(_entries.c.amount_nanos).where(
            _entries.c.workspace_id == workspace_id,
            _entries.c.kind == kind,
            _entries.c.reference == reference,
        )
    ).scalar_one_or_none()


def _totals(connection: Connection, workspace_id: str) -> ledger.LedgerTotals:
    return ledger.totals(connection, [workspace_id])[workspace_id]
