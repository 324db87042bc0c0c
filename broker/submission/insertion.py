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
"""(workspace, idempotency key) → (job, fingerprint of its request)."""

_jobs = table(Job)
_SELECT_KEYS = select(
    _jobs.c.id, _jobs.c.workspace_id, _jobs.c.idempotency_key, _jobs.c.fingerprint
).where(
    _jobs.c.workspace_id.in_(bindparam("workspaces", expanding=True)),
    _jobs.c.idempotency_key.in_(bindparam("keys", expanding=True)),
)


def find_by_key(connection: Connection, workspace_id: str, key: str) -> Mapping[str, Any] | None:
    """Return the row of the job with this idempotency key."""
    query = select(_jobs).filter_by(workspace_id=workspace_id, idempotency_key=key)
    found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


def is_key_known(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Return whether the idempotency key of a job (its row is given) was used before."""
    return bool(load_known_keys(connection, [row]))


def load_known_keys(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> KnownKeys:
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


def add_known_key(row: Mapping[str, Any], known: KnownKeys) -> None:
    """Add the idempotency key of a new job to the known keys."""
    if row["idempotency_key"] is not None:
        known[_key(row)] = (row["id"], row["fingerprint"])


def find_earlier(row: Mapping[str, Any], known: KnownKeys) -> str | Exception | None:
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


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["workspace_id"], row["idempotency_key"]


_INSERT_JOBS = insert(table(Job))
_INSERT_PAYLOADS = insert(table(JobPayload))


def submit_many(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
    """Insert jobs with their holds; a known idempotency key gives the earlier job instead."""
    now = max(job.row["created_at"] for job in jobs)
    funds = FundsCheck.open(connection, (job.payer for job in jobs), now)
    # the funds are locked now, so a concurrent job with the same key is visible
    known = load_known_keys(connection, [job.row for job in jobs])
    results: list[Submitted | Exception] = []
    accepted: list[NewJob] = []
    for job in jobs:
        result = _find_replay(job, known) or job.refusal
        if result is None:
            held = funds.take(job.payer, _build_hold_request(job))
            if isinstance(held, int):
                accepted.append(replace(job, row={**job.row, "hold_nanos": held}))
                result = Submitted(job.id, replayed=False)
                add_known_key(job.row, known)
            else:
                result = held
        results.append(result)
    primary_of = _insert(connection, accepted)
    return [_add_primary(result, primary_of) for result in results] if primary_of else results


def _add_primary(
    result: Submitted | Exception, primary_of: Mapping[str, str]
) -> Submitted | Exception:
    if isinstance(result, Exception) or result.replayed:
        return result
    primary = primary_of.get(result.job_id, result.job_id)
    return result if primary == result.job_id else replace(result, follows=primary)


def _insert(connection: Connection, jobs: Sequence[NewJob]) -> Mapping[str, str]:
    """Insert jobs, their bodies and holds; return the primary of each coalesced job."""
    if not jobs:
        return {}
    shared = [
        coalescing.CoalescingJob(job.id, job.row["workspace_id"], job.shares, job.row["lane"])
        for job in jobs
        if job.shares is not None
    ]
    primary_of = coalescing.find_primaries(connection, shared) if shared else {}
    rows = [_build_shared_row(job, primary_of[job.id]) if job.shares else job.row for job in jobs]
    connection.execute(_INSERT_JOBS, rows)
    connection.execute(_INSERT_PAYLOADS, [job.payload for job in jobs])
    ledger.append(connection, [_build_hold(job) for job in jobs])
    if shared:
        coalescing.insert_members(connection, shared, primary_of)
    return primary_of


def _build_shared_row(job: NewJob, primary: str) -> JobColumns:
    """Return the row of a coalesced job; a follower waits in a lane without queues."""
    lane = job.row["lane"] if primary == job.id else FOLLOWING_LANE
    return {**job.row, "lane": lane, "coalesced_with": primary}


def _build_hold(job: NewJob) -> ledger.NewEntry:
    row = job.row
    return ledger.hold(
        job_id=row["id"],
        workspace_id=row["workspace_id"],
        api_key_id=row["api_key_id"],
        nanos=row["hold_nanos"],
        now=row["created_at"],
    )


def _build_hold_request(job: NewJob) -> HoldRequest:
    quotes = job.held_for
    return HoldRequest(job.row["hold_nanos"], job.least_nanos, quotes.bound, quotes.likely)


def _find_replay(job: NewJob, known: KnownKeys) -> Submitted | Exception | None:
    earlier = find_earlier(job.row, known)
    return Submitted(earlier, replayed=True) if isinstance(earlier, str) else earlier
