"""The check of idempotency keys: find the earlier job with the key of a new one."""

from collections.abc import Sequence
from typing import TypeAlias, cast

from sqlalchemy import Connection, bindparam, select

from broker.errors import IdempotencyMismatchError
from broker.storage.tables import Job, table
from broker.submission.options import JobColumns, NewJob, Submitted

KnownKeys: TypeAlias = dict[tuple[str, str | None], tuple[str, str | None]]
"""(workspace, idempotency key) → (job, fingerprint of its request)."""

_jobs = table(Job)
_SELECT_KEYS = select(
    _jobs.c.id, _jobs.c.workspace_id, _jobs.c.idempotency_key, _jobs.c.fingerprint
).where(
    _jobs.c.workspace_id.in_(bindparam("workspaces", expanding=True)),
    _jobs.c.idempotency_key.in_(bindparam("keys", expanding=True)),
)


def find_by_key(connection: Connection, workspace_id: str, key: str) -> JobColumns | None:
    """Return the row of the job with this idempotency key."""
    query = select(_jobs).filter_by(workspace_id=workspace_id, idempotency_key=key)
    found = connection.execute(query).mappings().first()
    return None if found is None else cast("JobColumns", dict(found))  # and the other columns


def is_key_known(connection: Connection, row: JobColumns) -> bool:
    """Return whether the idempotency key of a job (its row is given) was used before."""
    return bool(load_known_keys(connection, [row]))


def load_known_keys(connection: Connection, rows: Sequence[JobColumns]) -> KnownKeys:
    """Return the earlier jobs with the idempotency keys of these rows of new jobs."""
    keyed = [row for row in rows if row["idempotency_key"] is not None]
    if not keyed:
        return {}
    found = connection.execute(
        _SELECT_KEYS,
        {
            "workspaces": [row["workspace_id"] for row in keyed],
            "keys": [row["idempotency_key"] for row in keyed],
        },
    )
    return {(row.workspace_id, row.idempotency_key): (row.id, row.fingerprint) for row in found}


def add_known_key(row: JobColumns, known: KnownKeys) -> None:
    """Add the idempotency key of a new job to the known keys."""
    if row["idempotency_key"] is not None:
        known[_key(row)] = (row["id"], row["fingerprint"])


def find_earlier(row: JobColumns, known: KnownKeys) -> str | Exception | None:
    """Return the earlier job with this key, or the error if its request was another one."""
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


def _key(row: JobColumns) -> tuple[str, str | None]:
    return row["workspace_id"], row["idempotency_key"]


def find_replay(job: NewJob, known: KnownKeys) -> Submitted | Exception | None:
    """Return the earlier job with the key of `job`, or the error; None for a new key."""
    earlier = find_earlier(job.row, known)
    return Submitted(earlier, replayed=True) if isinstance(earlier, str) else earlier
