"""What may be booked. Amounts are signed nano-dollars; a balance is the sum of its entries.

Of a job: a *hold* (negative) at its submission, an *extend* (negative) where a fallback is dearer,
then a *settle* (the holds less the cost) or a *release* (the holds); a *refund* gives a cost back.
So an ended job's entries sum to minus its cost, and uniqueness (`tables.LedgerEntry`) makes a
second charge impossible. Of a workspace: *topup* and its *fee*, *grant* (the operator's own,
signed) and *withdrawal* (money that went back to the payer), each with the payer's reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, insert

from broker.ids import new_id
from broker.storage.tables import LedgerEntry, table

_INSERT = insert(table(LedgerEntry))


class BookedJob(Protocol):
    """A job as the books know it: a row of `jobs`."""

    id: str
    workspace_id: str
    api_key_id: str


class HeldJob(BookedJob, Protocol):
    """One for which something is held."""

    hold_nanos: int


def hold(job: Mapping[str, Any]) -> dict[str, Any]:
    """Hold what a job (the columns of its row, which is about to be written) may cost."""
    entry = _entry("hold", job["workspace_id"], job["created_at"])
    entry |= {"api_key_id": job["api_key_id"], "job_id": job["id"]}
    return entry | _held(job["hold_nanos"])


def extend(job: BookedJob, *, attempt: int, nanos: int, now: int) -> dict[str, Any]:
    """Hold `nanos` more for a job whose attempt moves to a dearer endpoint."""
    return _of_job("extend", job, now) | {"attempt": attempt} | _held(nanos)


def settle(job: HeldJob, *, cost_nanos: int, now: int) -> dict[str, Any]:
    """Charge what the answer cost, whatever was held."""
    held = job.hold_nanos
    return _of_job("settle", job, now) | {"amount_nanos": held - cost_nanos, "held_nanos": -held}


def release(job: HeldJob, *, now: int) -> dict[str, Any]:
    """Give the hold of a job back that ended without an answer."""
    return _of_job("release", job, now) | _held(-job.hold_nanos)


def refund(job: BookedJob, *, nanos: int, now: int) -> dict[str, Any]:
    """Give back what a job cost; once a job."""
    return _of_job("refund", job, now) | {"amount_nanos": nanos}


def topup(*, workspace_id: str, nanos: int, now: int, reference: str) -> dict[str, Any]:
    return _entry("topup", workspace_id, now) | {"amount_nanos": nanos, "reference": reference}


def fee(*, workspace_id: str, nanos: int, now: int, reference: str) -> dict[str, Any]:
    """The platform's part of a top-up with the same reference."""
    return _entry("fee", workspace_id, now) | {"amount_nanos": -nanos, "reference": reference}


def grant(
    *, workspace_id: str, nanos: int, now: int, reference: str | None = None
) -> dict[str, Any]:
    """Credit of the operator's own; negative to correct one."""
    return _entry("grant", workspace_id, now) | {"amount_nanos": nanos, "reference": reference}


def withdrawal(*, workspace_id: str, nanos: int, now: int, reference: str) -> dict[str, Any]:
    """Money that went back to whoever had paid it in."""
    entry = _entry("withdrawal", workspace_id, now)
    return entry | {"amount_nanos": -nanos, "reference": reference}


def append(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries. Raises IntegrityError where something would be booked twice."""
    if entries:
        connection.execute(_INSERT, entries)


def _held(nanos: int) -> dict[str, int]:
    return {"amount_nanos": -nanos, "held_nanos": nanos}


def _of_job(kind: str, job: BookedJob, now: int) -> dict[str, Any]:
    of_job = {"api_key_id": job.api_key_id, "job_id": job.id}
    return _entry(kind, job.workspace_id, now) | of_job


def _entry(kind: str, workspace_id: str, now: int) -> dict[str, Any]:
    return {
        "id": new_id("led_"),
        "workspace_id": workspace_id,
        "api_key_id": None,
        "job_id": None,
        "kind": kind,
        "attempt": 0,
        "amount_nanos": 0,
        "held_nanos": 0,
        "reference": None,
        "created_at": now,
    }
