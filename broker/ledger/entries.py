"""What may be booked. Amounts are signed nano-dollars; a balance is the sum of its entries.

Of a job: a *hold* (negative) at its submission, an *extend* (negative) where a fallback is dearer,
then a *settle* (the holds less the cost) or a *release* (the holds); a *refund* gives a cost back.
So an ended job's entries sum to minus its cost, and uniqueness (`tables.LedgerEntry`) makes a
second charge impossible. Of a workspace: *topup* and its *fee*, *grant* (the operator's own,
signed) and *withdrawal* (money that went back to the payer), each with the payer's reference.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert

from broker.ids import new_id
from broker.tables import LedgerEntry

_INSERT = insert(LedgerEntry.__table__)  # type: ignore[attr-defined]


def hold(
    *, workspace_id: str, job_id: str, nanos: int, now: int, api_key_id: str | None = None
) -> dict[str, Any]:
    return _of_job("hold", workspace_id, api_key_id, job_id, now) | {
        "amount_nanos": -nanos,
        "held_nanos": nanos,
    }


def extend(job: Any, *, attempt: int, nanos: int, now: int) -> dict[str, Any]:
    """Hold `nanos` more for a job (a row of `jobs`) whose attempt moves to a dearer endpoint."""
    return _of_job("extend", job.workspace_id, job.api_key_id, job.id, now) | {
        "attempt": attempt,
        "amount_nanos": -nanos,
        "held_nanos": nanos,
    }


def settle(
    *,
    workspace_id: str,
    job_id: str,
    held_nanos: int,
    cost_nanos: int,
    now: int,
    api_key_id: str | None = None,
) -> dict[str, Any]:
    return _of_job("settle", workspace_id, api_key_id, job_id, now) | {
        "amount_nanos": held_nanos - cost_nanos,
        "held_nanos": -held_nanos,
    }


def release(
    *, workspace_id: str, job_id: str, held_nanos: int, now: int, api_key_id: str | None = None
) -> dict[str, Any]:
    return _of_job("release", workspace_id, api_key_id, job_id, now) | {
        "amount_nanos": held_nanos,
        "held_nanos": -held_nanos,
    }


def refund(job: Any, *, nanos: int, now: int) -> dict[str, Any]:
    """Give back what a job (a row of `jobs`) cost; once a job."""
    entry = _of_job("refund", job.workspace_id, job.api_key_id, job.id, now)
    return entry | {"amount_nanos": nanos}


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


def _of_job(
    kind: str, workspace_id: str, api_key_id: str | None, job_id: str, now: int
) -> dict[str, Any]:
    return _entry(kind, workspace_id, now) | {"api_key_id": api_key_id, "job_id": job_id}


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
