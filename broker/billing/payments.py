"""Prepaid credit: payments in, fees, payments back, refunds of single jobs. Cold paths.

Whatever takes payments calls `add` with the payer's own reference for it: reported again, the same
payment changes nothing.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from broker.billing import ledger
from broker.errors import ConflictError, InvalidRequestError, NotFoundError
from broker.money import NANOS_PER_USD, nanos_from_usd, usd
from broker.settings import Settings
from broker.storage.tables import Job, LedgerEntry, Workspace, table

MOST_USD = 10_000_000  # of one payment: more is a unit confused with another

_entries = table(LedgerEntry)
_jobs = table(Job)
_workspaces = table(Workspace)


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came in for a workspace."""

    workspace_id: str
    nanos: int  # what was paid; the fee is taken from it
    reference: str
    now: int
    fee_nanos: int = 0


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """What became of a payment, and what the workspace has now."""

    is_new: bool  # False: it had been booked before
    totals: ledger.LedgerTotals


def fee_of(nanos: int, settings: Settings) -> int:
    """Return the platform's part of a payment: a percentage, at least so much, at most all."""
    share = Decimal(nanos) * Decimal(settings.topup_fee_percent) / 100
    rounded = int(share.quantize(Decimal(1), ROUND_HALF_UP))
    return min(max(rounded, nanos_from_usd(settings.topup_fee_minimum_usd)), nanos)


def add(connection: Connection, payment: Payment) -> BookedPayment:
    """Book a payment, once per reference.

    Raises InvalidRequestError for an amount that cannot be meant, NotFoundError for an unknown
    workspace, ConflictError where the reference was booked with another amount.
    """
    _check_amount(payment.nanos)
    _lock(connection, payment.workspace_id)
    booked = _find(connection, payment.workspace_id, "topup", payment.reference)
    if booked is not None and booked.amount_nanos != payment.nanos:
        raise ConflictError(
            f"Reference {payment.reference!r} was booked with {usd(booked.amount_nanos):g} USD: "
            "another payment needs another reference."
        )
    if booked is None:
        named: dict[str, Any] = {
            "workspace_id": payment.workspace_id,
            "reference": payment.reference,
            "now": payment.now,
        }
        entries = [ledger.topup(nanos=payment.nanos, **named)]
        if payment.fee_nanos:
            entries.append(ledger.fee(nanos=payment.fee_nanos, **named))
        ledger.append(connection, entries)
    return BookedPayment(booked is None, _totals(connection, payment.workspace_id))


def withdraw(connection: Connection, payment: Payment) -> BookedPayment:
    """Book money that went back to the payer, once per reference; the balance may go below zero."""
    _check_amount(payment.nanos)
    _lock(connection, payment.workspace_id)
    booked = _find(connection, payment.workspace_id, "withdrawal", payment.reference)
    if booked is None:
        entry = ledger.withdrawal(
            workspace_id=payment.workspace_id,
            nanos=payment.nanos,
            now=payment.now,
            reference=payment.reference,
        )
        ledger.append(connection, [entry])
    return BookedPayment(booked is None, _totals(connection, payment.workspace_id))


@dataclass(frozen=True, slots=True)
class Refund:
    """What a workspace got back for a job; 0 if it had it back before."""

    workspace_id: str
    nanos: int


def refund(connection: Connection, job_id: str, now: int) -> Refund:
    """Give a workspace back what a job cost it, once.

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


def _find(connection: Connection, workspace_id: str, kind: str, reference: str) -> Any | None:
    return connection.execute(
        select(_entries).where(
            _entries.c.workspace_id == workspace_id,
            _entries.c.kind == kind,
            _entries.c.reference == reference,
        )
    ).first()


def _totals(connection: Connection, workspace_id: str) -> ledger.LedgerTotals:
    return ledger.totals(connection, [workspace_id])[workspace_id]
