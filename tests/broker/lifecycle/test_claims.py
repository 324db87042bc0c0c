import asyncio

import pytest

from broker.lifecycle import Claim, claim_many
from tests.factories import (
    LEASE,
    NOW,
    attempts,
    cancel,
    claim_one,
    finished,
    job_row,
    record,
    run,
    submit,
    submit_and_claim,
)


def test_a_claim_opens_an_attempt_under_a_lease(database, caller):
    # Given a queued job
    job_id = submit(database, caller, places=[("alpha", "acme/small"), ("beta", "acme/large")])
    # When a worker claims it
    job = claim_one(database, job_id, owner="worker-1", now=NOW + 40)
    # Then it has all it needs to call the provider, and the attempt is on record before it does
    assert (job.attempt, job.endpoint.provider, job.endpoint.native) == (
        1,
        "alpha",
        "native-acme/small",
    )
    row = job_row(database, job_id)
    assert (row.state, row.lease_owner, row.lease_expires_at, row.started_at) == (
        "running",
        "worker-1",
        NOW + 40 + LEASE,
        NOW + 40,
    )
    assert attempts(database, job_id) == [(1, None)]


def test_a_doubled_message_runs_a_job_once(database, caller):
    # Given a job that was announced twice
    job_id = submit(database, caller)
    # When both messages are handled in one group, and a third one later
    together = run(database, claim_many, *[Claim(job_id, "worker-1", NOW, LEASE)] * 2)
    later = claim_one(database, job_id, owner="worker-2")
    # Then one claim succeeds
    assert [claimed is not None for claimed in (*together, later)] == [True, False, False]
    assert attempts(database, job_id) == [(1, None)]


def test_an_unknown_job_is_nobodys(database):
    assert claim_one(database, "job_lost") is None


def test_a_claimed_neighbour_does_not_shift_results(database, caller):
    # Given three jobs, the second of them taken
    ids = [submit(database, caller) for _ in range(3)]
    claim_one(database, ids[1], owner="worker-2")
    # When a worker claims all three
    claimed = run(database, claim_many, *[Claim(id_, "worker-1", NOW, LEASE) for id_ in ids])
    # Then each result is its own job's
    assert [job and job.id for job in claimed] == [ids[0], None, ids[2]]


@pytest.mark.parametrize(
    ("wish", "at", "taken"),
    [
        ({"not_before": NOW + 10}, NOW + 20, False),  # scheduled: the dispatcher queues it first
        ({"deadline": NOW + 10}, NOW + 9, True),
        ({"deadline": NOW + 10}, NOW + 10, False),
        ({}, NOW - 1, False),  # available_at lies ahead
        ({}, NOW, True),
    ],
)
def test_a_job_is_claimed_between_its_time_and_its_deadline(database, caller, wish, at, taken):
    job_id = submit(database, caller, **wish)
    assert (claim_one(database, job_id, now=at) is not None) is taken


def test_a_cancelled_job_is_not_claimed(database, caller):
    job_id = submit(database, caller)
    cancel(database, job_id, caller.workspace_id)
    assert claim_one(database, job_id) is None


def test_an_ended_job_is_not_claimed_again(database, caller):
    job = submit_and_claim(database, caller)
    record(database, finished(job))
    assert claim_one(database, job.id) is None


async def test_two_workers_at_once_get_disjoint_jobs(url, database, connect, caller):
    # Given thirty queued jobs and two worker processes
    ids = [submit(database, caller) for _ in range(30)]
    sides = [(database, "worker-1", ids), (connect(url), "worker-2", ids[::-1])]
    # When both are told of all of them
    claims = [
        side.write_grouped(claim_many, Claim(job_id, owner, NOW, LEASE))
        for side, owner, seen in sides
        for job_id in seen
    ]
    taken = [job.id for job in await asyncio.gather(*claims) if job is not None]
    # Then every job was claimed exactly once
    assert sorted(taken) == sorted(ids)
