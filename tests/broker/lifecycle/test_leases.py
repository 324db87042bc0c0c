from broker.enums import OnUnknown
from broker.lifecycle import renew
from broker.queues import Ready
from tests.factories import (
    HOLD,
    LEASE,
    NOW,
    attempts,
    cancel,
    claim_one,
    entries,
    job_row,
    rescue,
    submit_and_claim,
    write,
)

TWO = [("alpha", "acme/small"), ("beta", "acme/large")]


def beat(database, *jobs, owner="worker-1", now):
    held = {job.id: job.attempt for job in jobs}
    return write(database, renew, owner, now + LEASE, held)


def test_a_worker_hears_that_its_job_is_anothers_now(database, caller):
    # Given a job whose worker was silent, claimed again by another
    job, kept = submit_and_claim(database, caller), submit_and_claim(database, caller)
    rescue(database, now=NOW + LEASE + 1)
    claim_one(database, job.id, owner="worker-2", now=NOW + LEASE + 2)
    claim_one(database, kept.id, owner="worker-1", now=NOW + LEASE + 2)
    # When the first gives a sign of life after all
    renewal = beat(database, job, kept, now=NOW + LEASE + 3)
    # Then it is told to let go of both: its own job, too, is on a later attempt
    assert set(renewal.lost) == {job.id, kept.id}
    assert job_row(database, job.id).lease_owner == "worker-2"


def test_a_silent_workers_job_is_queued_again_where_it_was(database, caller):
    # Given a running job whose lease runs out
    job = submit_and_claim(database, caller, places=TWO)
    late = NOW + LEASE
    assert rescue(database, now=late) == []
    # When the reconciler looks
    requeued = rescue(database, now=late + 1)
    # Then the attempt ended unknown and the job is published for the same place, at once
    assert requeued == [Ready(job.id, "alpha", "interactive")]
    row = job_row(database, job.id)
    assert (row.state, row.position, row.available_at) == ("queued", 0, late + 1)
    assert row.dispatch_at <= late + 1  # the dispatcher publishes it at its next look
    assert attempts(database, job.id) == [(1, "unknown")]
    assert rescue(database, now=late + 2) == []
    assert claim_one(database, job.id, now=late + 2).attempt == 2


def test_a_sign_of_life_keeps_a_job(database, caller):
    job = submit_and_claim(database, caller)
    beat(database, job, now=NOW + 50_000)
    assert rescue(database, now=NOW + 50_000 + LEASE) == []
    assert job_row(database, job.id).state == "running"


def test_a_job_that_its_living_worker_dropped_is_rescued(database, caller):
    # Given a worker that lost track of one of its two jobs (its attempt crashed)
    kept, dropped = submit_and_claim(database, caller), submit_and_claim(database, caller)
    # When it goes on giving signs of life for the other
    beat(database, kept, now=NOW + 50_000)
    # Then the dropped one does not hang until the worker dies
    requeued = rescue(database, now=NOW + LEASE + 1)
    assert [job.job_id for job in requeued] == [dropped.id]


def test_a_late_workers_sign_of_life_does_not_renew_its_successors_lease(database, caller):
    # Given a job that a second worker took over
    job = submit_and_claim(database, caller, owner="worker-1")
    rescue(database, now=NOW + LEASE + 1)
    claim_one(database, job.id, owner="worker-2", now=NOW + LEASE + 1)
    # When the first one gives a sign of life
    beat(database, job, owner="worker-1", now=NOW + 10 * LEASE)
    # Then the lease is the successor's own
    row = job_row(database, job.id)
    assert (row.lease_owner, row.lease_expires_at) == ("worker-2", NOW + 2 * LEASE + 1)


def test_a_worker_known_to_be_dead_is_not_waited_for(database, caller):
    # Given two workers, of which one died
    dead = submit_and_claim(database, caller, owner="dead")
    alive = submit_and_claim(database, caller, owner="alive")
    # When the dead one's jobs are rescued
    requeued = rescue(database, now=NOW + 1, owner="dead")
    # Then only its job moved
    assert [job.job_id for job in requeued] == [dead.id]
    assert job_row(database, alive.id).state == "running"


def test_a_lost_attempt_counts(database, caller):
    # Given a job that kills every worker that touches it
    job = submit_and_claim(database, caller, max_attempts=2)
    rescue(database, now=NOW + LEASE + 1)
    claim_one(database, job.id, now=NOW + LEASE + 1)
    # When its second worker is lost too
    assert rescue(database, now=NOW + 3 * LEASE) == []
    # Then it ends, uncharged, instead of going round for ever
    row = job_row(database, job.id)
    assert (row.state, row.lease_owner) == ("failed", None)
    assert "lost" in row.error
    assert entries(database, job.id) == {"hold": -HOLD, "release": HOLD}


def test_a_lost_attempt_is_not_sent_again_against_the_callers_wish(database, caller):
    # Given jobs whose callers fear a second bill
    fail = submit_and_claim(database, caller, on_unknown=OnUnknown.FAIL)
    hold = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    # When their worker is lost
    assert rescue(database, now=NOW + LEASE + 1) == []
    # Then neither is queued again
    assert job_row(database, fail.id).state == "failed"
    assert job_row(database, hold.id).state == "needs_review"
    assert entries(database, hold.id) == {"hold": -HOLD}


def test_a_lost_worker_does_not_bring_a_cancelled_job_back(database, caller):
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    assert rescue(database, now=NOW + LEASE + 1) == []
    assert job_row(database, job.id).state == "cancelled"
    assert entries(database, job.id) == {"hold": -HOLD, "release": HOLD}


def test_a_job_rescued_after_its_deadline_ends(database, caller):
    job = submit_and_claim(database, caller, deadline=NOW + 10)
    assert rescue(database, now=NOW + LEASE + 1) == []
    assert job_row(database, job.id).state == "expired"
