"""Jobs that cannot be sent now wait at no cost, or go where they are served sooner."""

import orjson

from broker.completion import ErrorType
from broker.dispatch.dispatch import DispatchPoll, dispatch_due
from broker.enums import JobState
from broker.lifecycle import Deferral, defer_many
from broker.lifecycle.retries import Retry
from broker.providers.pacing import Busy, Cause
from broker.queues import Lane, Ready
from broker.routing.waiting import Congestion
from tests.factories import (
    HOLD,
    NOW,
    attempts,
    balance,
    cancel,
    claim_one,
    failed,
    failure,
    job_row,
    make_principal,
    record,
    rescue,
    run,
    submit,
    submit_and_claim,
    write,
)

TWO = [("alpha", "acme/small"), ("beta", "acme/large")]
SOON = NOW + 4_000
FULL = Busy("alpha", Cause.RATE_LIMIT, SOON)


def defer(database, job_id, busy=FULL, *, now=NOW, attempt=None, congestion=None):
    wish = Deferral(job_id, now, busy, congestion or Congestion(), attempt)
    [moved] = run(database, defer_many, wish)
    return moved


def test_a_job_waits_for_its_provider_and_spends_no_attempt(database, caller):
    # Given a job whose provider has no room for four seconds
    job_id = submit(database, caller)
    # When it is put off
    assert defer(database, job_id) is None
    # Then it is still queued, with no attempt, and nobody may claim it before
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.attempts_used) == ("queued", 0, 0)
    assert attempts(database, job_id) == []
    assert claim_one(database, job_id, now=SOON - 1) is None
    # And its time spent waiting counts from the beginning
    assert claim_one(database, job_id, now=SOON + 500).queued_ms == 4_500


def test_its_owner_sees_what_it_waits_for(database, caller):
    job_id = submit(database, caller)
    defer(database, job_id)
    assert orjson.loads(job_row(database, job_id).waiting_for) == {
        "reason": "rate_limit",
        "provider": "alpha",
        "until": SOON,
    }


def test_the_dispatcher_publishes_it_in_time(database, caller):
    job_id = submit(database, caller)
    defer(database, job_id)
    early = write(database, dispatch_due, DispatchPoll(SOON - 1, {"alpha": 5}))
    due = write(database, dispatch_due, DispatchPoll(SOON, {"alpha": 5}))
    assert (early, due) == ([], [Ready(job_id, "alpha", "interactive")])


def test_a_claim_that_came_to_nothing_is_taken_back_whole(database, caller):
    # Given a claimed job that finds its endpoint paused
    job = submit_and_claim(database, caller)
    paused = Busy("alpha", Cause.PROVIDER_PAUSE, SOON, "acme/small")
    # When it is put off
    defer(database, job.id, paused, attempt=job.attempt)
    # Then it is as if it had never been claimed
    row = job_row(database, job.id)
    assert (row.state, row.attempt, row.attempts_used, row.tries_here) == ("queued", 0, 0, 0)
    assert (row.started_at, row.lease_owner, row.lease_expires_at) == (None, None, None)
    assert attempts(database, job.id) == []
    # And its first attempt is number one
    assert claim_one(database, job.id, now=SOON).attempt == 1


def test_a_later_attempt_is_taken_back_to_the_one_before(database, caller):
    job = submit_and_claim(database, caller)
    record(database, failed(job, decision=Retry(0)))
    again = claim_one(database, job.id)
    defer(database, job.id, attempt=again.attempt)
    row = job_row(database, job.id)
    assert (row.attempt, row.attempts_used, row.tries_here) == (1, 1, 1)
    assert attempts(database, job.id) == [(1, "rejected")]


def test_a_job_goes_to_a_free_fallback_at_once(database, caller):
    job_id = submit(database, caller, places=TWO)
    assert defer(database, job_id) == Ready(job_id, "beta", "interactive")
    row = job_row(database, job_id)
    assert (row.provider, row.position) == ("beta", 1)
    assert claim_one(database, job_id).endpoint.provider == "beta"


def test_a_job_waits_for_a_fallback_that_is_free_sooner(database, caller):
    job_id = submit(database, caller, places=TWO)
    beta = Busy("beta", Cause.CONCURRENCY, NOW + 1_000)
    assert defer(database, job_id, congestion=Congestion({"beta": beta})) is None
    row = job_row(database, job_id)
    assert (row.provider, row.available_at) == ("beta", NOW + 1_000)


def test_an_endpoint_that_let_the_job_down_gets_it_back_only_for_a_rate_limit(database, caller):
    busy = Busy("beta", Cause.CONCURRENCY, SOON)
    for error_type, goes_back in (
        (ErrorType.AUTHENTICATION, False),
        (ErrorType.RATE_LIMIT_EXCEEDED, True),
    ):
        job = submit_and_claim(database, caller, places=TWO)
        record(database, failed(job, why=failure(error_type=error_type), decision=Retry(1)))
        moved = defer(database, job.id, busy)
        assert (moved is not None) is goes_back


def test_a_reset_in_hours_holds_up_no_job_that_has_a_fallback(database, caller):
    """Elsewhere a provider's reset in hours blocked the fallback (OmniRoute PR #495)."""
    job = submit_and_claim(database, caller, places=TWO)
    hours = Busy("alpha", Cause.PROVIDER_PAUSE, NOW + 4 * 3_600_000, "acme/small")
    moved = defer(database, job.id, hours, attempt=job.attempt)
    assert moved == Ready(job.id, "beta", "interactive")


def test_a_job_waits_no_longer_than_its_deadline(database, caller):
    job_id = submit(database, caller, deadline=NOW + 1_000)
    defer(database, job_id, Busy("alpha", Cause.RATE_LIMIT, NOW + 3_600_000))
    assert job_row(database, job_id).dispatch_at == NOW + 1_000


def test_a_job_that_came_by_a_wrong_queue_is_sent_to_its_own(database, caller):
    job = submit_and_claim(database, caller, places=TWO)
    congestion = Congestion({"alpha": FULL})
    moved = defer(database, job.id, None, attempt=job.attempt, congestion=congestion)
    assert moved == Ready(job.id, "alpha", "interactive")


def test_what_others_have_moved_meanwhile_is_left_alone(database, caller):
    # Given a job that was cancelled, one that runs, and one whose claim is another's by now
    cancelled = submit(database, caller)
    cancel(database, cancelled, caller.workspace_id)
    running = submit_and_claim(database, caller)
    lost = submit_and_claim(database, caller, now=NOW - 10)
    rescue(database, now=NOW + 59_999)
    # When they are put off
    assert defer(database, cancelled) is None
    assert defer(database, running.id) is None
    assert defer(database, lost.id, attempt=lost.attempt) is None
    # Then nothing has changed
    assert job_row(database, cancelled).state == JobState.CANCELLED
    assert job_row(database, running.id).state == JobState.RUNNING
    assert attempts(database, lost.id) == [(1, "unknown")]


def test_the_next_wait_is_counted_anew(database, caller):
    job_id = submit(database, caller)
    defer(database, job_id)
    job = claim_one(database, job_id, now=SOON)
    record(database, failed(job, now=SOON, decision=Retry(0, delay=1.0)))
    row = job_row(database, job_id)
    assert (row.waiting_for, row.waiting_since) == (None, None)
    assert claim_one(database, job_id, now=SOON + 1_200).queued_ms == 200


def test_jobs_of_one_group_are_put_off_together(database, caller):
    ids = [submit(database, caller, places=TWO, lane=Lane.BATCH) for _ in range(3)]
    wishes = [Deferral(job_id, NOW, FULL, Congestion()) for job_id in [*ids, ids[0]]]
    moved = run(database, defer_many, *wishes)
    assert [each and each.job_id for each in moved] == [*ids, None]


def test_a_dearer_fallback_holds_more_before_the_job_moves(database):
    """Elsewhere nothing is reserved for a fallback (litellm PR #41379)."""
    caller = make_principal(database, credit=HOLD + 500)
    job = submit_and_claim(database, caller, places=TWO, more=500)
    moved = defer(database, job.id, attempt=job.attempt)
    assert moved == Ready(job.id, "beta", "interactive")
    assert job_row(database, job.id).hold_nanos == HOLD + 500
    assert balance(database, caller.workspace_id) == 0


def test_a_fallback_that_cannot_be_paid_for_is_no_choice(database):
    caller = make_principal(database, credit=HOLD + 499)
    job_id = submit(database, caller, places=TWO, more=500)
    assert defer(database, job_id) is None
    assert job_row(database, job_id).provider == "alpha"
    assert balance(database, caller.workspace_id) == 499
