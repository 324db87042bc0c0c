"""Insert jobs with their holds, in one grouped transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_type_hints

from sqlalchemy import Connection, insert

from broker.billing import ledger
from broker.billing.funds import FundsCheck, HoldRequest
from broker.lifecycle import coalescing
from broker.queues import FOLLOWING_LANE
from broker.storage.frequent_statements import FrequentInsert, pipeline
from broker.storage.tables import Job, JobPayload, table
from broker.submission import idempotency
from broker.submission.options import JobColumns, NewJob, PayloadColumns, Submitted

_INSERT_JOBS = FrequentInsert(insert(table(Job)), get_type_hints(JobColumns))
_INSERT_PAYLOADS = FrequentInsert(insert(table(JobPayload)), get_type_hints(PayloadColumns))


def submit_many(connection: Connection, jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
    """Insert jobs with their holds; a known idempotency key gives the earlier job instead."""
    now = max(job.row["created_at"] for job in jobs)
    funds = FundsCheck.open(connection, (job.payer for job in jobs), now)
    # the funds are locked now, so a concurrent job with the same key is visible
    known = idempotency.load_known_keys(connection, [job.row for job in jobs])
    results: list[Submitted | Exception] = []
    accepted: list[NewJob] = []
    for job in jobs:
        result = idempotency.find_replay(job, known) or job.refusal
        if result is None:
            held = funds.take(job.payer, _build_hold_request(job))
            if isinstance(held, int):
                accepted.append(replace(job, row={**job.row, "hold_nanos": held}))
                result = Submitted(job.id, replayed=False)
                idempotency.add_known_key(job.row, known)
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
    with pipeline(connection):
        _INSERT_JOBS.run(connection, rows)
        _INSERT_PAYLOADS.run(connection, [job.payload for job in jobs])
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
