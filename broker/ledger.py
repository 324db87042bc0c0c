"""The append-only ledger: a hold at submission, then one settle or one release.

Entries are signed nano-dollars; a workspace's balance is their sum. A hold is negative; a settle
gives the hold back less the cost; a release gives it back whole. So an ended job's entries sum to
minus its cost, and uniqueness (`tables.LedgerEntry`) makes a second charge impossible.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select

from broker.ids import new_id
from broker.tables import LedgerEntry, Workspace

_entries: Any = LedgerEntry.__table__  # type: ignore[attr-defined]
_workspaces: Any = Workspace.__table__  # type: ignore[attr-defined]
_INSERT = insert(_entries)


def hold(*, workspace_id: str, job_id: str, nanos: int, now: int) -> dict[str, Any]:
    return _entry(workspace_id, job_id, "hold", -nanos, now)


def settle(
    *, workspace_id: str, job_id: str, held_nanos: int, cost_nanos: int, now: int
) -> dict[str, Any]:
    return _entry(workspace_id, job_id, "settle", held_nanos - cost_nanos, now)


def release(*, workspace_id: str, job_id: str, held_nanos: int, now: int) -> dict[str, Any]:
    return _entry(workspace_id, job_id, "release", held_nanos, now)


def grant(*, workspace_id: str, nanos: int, now: int) -> dict[str, Any]:
    return _entry(workspace_id, None, "grant", nanos, now)


def append(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries. Raises IntegrityError where a job would be held, settled or released twice."""
    if entries:
        connection.execute(_INSERT, entries)


def balance(connection: Connection, workspace_id: str) -> int:
    """Return what the workspace may still spend: grants less costs less open holds."""
    total = select(func.coalesce(func.sum(_entries.c.amount_nanos), 0)).where(
        _entries.c.workspace_id == workspace_id
    )
    return int(connection.execute(total).scalar_one())


def locked_balances(connection: Connection, workspace_ids: Iterable[str]) -> dict[str, int]:
    """Return the balances of those workspaces and keep others from spending until the commit.

    PostgreSQL locks the workspace rows, in id order (settling goes on meanwhile: a foreign key's
    check asks for less); SQLite has one writer anyway.
    """
    ids = sorted(set(workspace_ids))
    if not ids:
        return {}
    lock = select(_workspaces.c.id).where(_workspaces.c.id.in_(ids)).order_by(_workspaces.c.id)
    connection.execute(lock.with_for_update(key_share=True)).all()
    return {workspace_id: balance(connection, workspace_id) for workspace_id in ids}


def _entry(
    workspace_id: str, job_id: str | None, kind: str, nanos: int, now: int
) -> dict[str, Any]:
    return {
        "id": new_id("led_"),
        "workspace_id": workspace_id,
        "job_id": job_id,
        "kind": kind,
        "amount_nanos": nanos,
        "created_at": now,
    }
