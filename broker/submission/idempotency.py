"""Which jobs were asked for before: an idempotency key brings the earlier job, not a second one."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, select

from broker.errors import IdempotencyMismatchError
from broker.storage.tables import Job, table

KnownKeys: TypeAlias = dict[tuple[str, str], tuple[str, str]]
"""By workspace and key: the job, and the fingerprint of what it was asked."""

_jobs = table(Job)
_SAME_KEY = select(
    _jobs.c.id, _jobs.c.workspace_id, _jobs.c.idempotency_key, _jobs.c.fingerprint
).where(
    _jobs.c.workspace_id.in_(bindparam("workspaces", expanding=True)),
    _jobs.c.idempotency_key.in_(bindparam("keys", expanding=True)),
)


def find(connection: Connection, workspace_id: str, key: str) -> Mapping[str, Any] | None:
    """Return the row of the job that a key brought."""
    asked = select(_jobs).filter_by(workspace_id=workspace_id, idempotency_key=key)
    found = connection.execute(asked).mappings().first()
    return None if found is None else dict(found)


def is_known(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Whether the idempotency key of a job (its row is given) was used before."""
    return bool(known_keys(connection, [row]))


def known_keys(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> KnownKeys:
    """Return what is known of the keys that new jobs (their rows) came with."""
    keyed = [row for row in rows if row["idempotency_key"] is not None]
    if not keyed:
        return {}
    found = connection.execute(
        _SAME_KEY,
        {
            "workspaces": [row["workspace_id"] for row in keyed],
            "keys": [row["idempotency_key"] for row in keyed],
        },
    )
    return {(row.workspace_id, row.idempotency_key): (row.id, row.fingerprint) for row in found}


def remember(row: Mapping[str, Any], known: KnownKeys) -> None:
    """Have those that come later find this job."""
    if row["idempotency_key"] is not None:
        known[_key(row)] = (row["id"], row["fingerprint"])


def earlier(row: Mapping[str, Any], known: KnownKeys) -> str | Exception | None:
    """Return the job that this key brought before, or why the key cannot be used again."""
    found = known.get(_key(row))
    if found is None:
        return None
    job_id, fingerprint = found
    if fingerprint != row["fingerprint"]:
        return IdempotencyMismatchError(
            f"Idempotency-Key {row['idempotency_key']!r} was used with another body, or by "
            f"another API key (job {job_id}): send the same to get that job, or use another "
            "Idempotency-Key for a new one.",
            param="Idempotency-Key",
        )
    return job_id


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["workspace_id"], row["idempotency_key"]
