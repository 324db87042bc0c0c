"""Insert jobs with their holds, in one grouped transaction; find jobs by idempotency key."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, insert, select

from broker.billing import ledger
from broker.billing.funds import FundsCheck, HoldRequest
from broker.errors import IdempotencyMismatchError
from broker.lifecycle import coalescing
from broker.queues import FOLLOWING_LANE
from broker.storage.tables import Job, JobPayload, table
from broker.submission.options import JobColumns, NewJob, Submitted

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
    """Return whether the idempotency key of a job (its row is given) was used before."""
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


def find_earlier(row: Mapping[str, Any], known: KnownKeys) -> str | Exception | None:
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


_INSERT_JOBS = insert(table(Job))
_INSERT_PAYLOADS = insert(table(JobPayload))


def submit_many(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
    """Insert jobs with their holds; a known idempotency key gives the earlier job instead."""
    now = max(job.row["created_at"] for job in jobs)
    purse = FundsCheck.open(connection, (job.payer for job in jobs), now)
    # under the lock: a twin may just have been accepted
    known = known_keys(connection, [job.row for job in jobs])
    results: list[Submitted | Exception] = []
    accepted: list[NewJob] = []
    for job in jobs:
        result = _replay(job, known) or job.refusal
        if result is None:
            taken = purse.take(job.payer, _need(job))
            if isinstance(taken, int):
                accepted.append(replace(job, row={**job.row, "hold_nanos": taken}))
                result = Submitted(job.id, replayed=False)
                remember(job.row, known)
            else:
                result = taken
        results.append(result)
    leader_of = _insert(connection, accepted)
    return [_following(result, leader_of) for result in results] if leader_of else results


def _following(
    result: Submitted | Exception, leader_of: Mapping[str, str]
) -> Submitted | Exception:
    if isinstance(result, Exception) or result.replayed:
        return result
    leader = leader_of.get(result.job_id, result.job_id)
    return result if leader == result.job_id else replace(result, follows=leader)


def _insert(connection: Connection, jobs: Sequence[NewJob]) -> Mapping[str, str]:
    """Insert jobs, their bodies and holds; return who leads the calls of those that share one."""
    if not jobs:
        return {}
    joining = [
        coalescing.Joining(job.id, job.row["workspace_id"], job.shares, job.row["lane"])
        for job in jobs
        if job.shares is not None
    ]
    leader_of = coalescing.join(connection, joining) if joining else {}
    rows = [_row_of(job, leader_of[job.id]) if job.shares else job.row for job in jobs]
    connection.execute(_INSERT_JOBS, rows)
    connection.execute(_INSERT_PAYLOADS, [job.payload for job in jobs])
    ledger.append(connection, [_hold(job) for job in jobs])
    if joining:
        coalescing.enter(connection, joining, leader_of)
    return leader_of


def _row_of(job: NewJob, leader: str) -> JobColumns:
    """Return the row of a job that shares its call; a follower waits in a lane without queues."""
    lane = job.row["lane"] if leader == job.id else FOLLOWING_LANE
    return {**job.row, "lane": lane, "coalesced_with": leader}


def _hold(job: NewJob) -> ledger.NewEntry:
    row = job.row
    return ledger.hold(
        job_id=row["id"],
        workspace_id=row["workspace_id"],
        api_key_id=row["api_key_id"],
        nanos=row["hold_nanos"],
        now=row["created_at"],
    )


def _need(job: NewJob) -> HoldRequest:
    held_for = job.held_for
    return HoldRequest(job.row["hold_nanos"], job.least_nanos, held_for.bound, held_for.likely)


def _replay(job: NewJob, known: KnownKeys) -> Submitted | Exception | None:
    earlier = find_earlier(job.row, known)
    return Submitted(earlier, replayed=True) if isinstance(earlier, str) else earlier
