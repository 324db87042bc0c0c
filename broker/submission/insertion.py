"""Inserts jobs with their holds, in one grouped transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, insert

from broker.billing import ledger
from broker.billing.funds import Need, Purse
from broker.lifecycle import coalescing
from broker.queues import FOLLOWING_LANE
from broker.storage.tables import Job, JobPayload, table
from broker.submission import idempotency
from broker.submission.idempotency import KnownKeys
from broker.submission.options import JobColumns, NewJob, Submitted

_INSERT_JOBS = insert(table(Job))
_INSERT_PAYLOADS = insert(table(JobPayload))


def submit_many(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
    """Insert jobs with their holds; a known idempotency key gives the earlier job instead."""
    now = max(job.row["created_at"] for job in jobs)
    purse = Purse.open(connection, (job.payer for job in jobs), now)
    # under the lock: a twin may just have been accepted
    known = idempotency.known_keys(connection, [job.row for job in jobs])
    results: list[Submitted | Exception] = []
    accepted: list[NewJob] = []
    for job in jobs:
        result = _replay(job, known) or job.refusal
        if result is None:
            taken = purse.take(job.payer, _need(job))
            if isinstance(taken, int):
                accepted.append(replace(job, row={**job.row, "hold_nanos": taken}))
                result = Submitted(job.id, replayed=False)
                idempotency.remember(job.row, known)
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
    ledger.append(connection, [ledger.hold(job.row) for job in jobs])
    if joining:
        coalescing.enter(connection, joining, leader_of)
    return leader_of


def _row_of(job: NewJob, leader: str) -> JobColumns:
    """Return the row of a job that shares its call; a follower waits in a lane without queues."""
    lane = job.row["lane"] if leader == job.id else FOLLOWING_LANE
    return {**job.row, "lane": lane, "coalesced_with": leader}


def _need(job: NewJob) -> Need:
    held_for = job.held_for
    return Need(job.row["hold_nanos"], job.least_nanos, held_for.bound, held_for.likely)


def _replay(job: NewJob, known: KnownKeys) -> Submitted | Exception | None:
    earlier = idempotency.earlier(job.row, known)
    return Submitted(earlier, replayed=True) if isinstance(earlier, str) else earlier
