"""A batch's life as rows: what is claimed, what is looked for, what falls back."""

from sqlalchemy import select

from broker import native_batches, submission
from broker.completion import AttemptOutcome, ErrorType
from broker.dispatch.dispatch import DispatchPoll, dispatch_due
from broker.lifecycle.retries import Retry
from broker.native_batches.steps import KEEP_MS
from broker.storage.tables import NativeBatch, NativeLine
from tests.broker.natives import WAIT, collect, held, make_native
from tests.factories import (
    HOLD,
    NOW,
    attempts,
    balance,
    cancel,
    claim_one,
    entries,
    failed,
    failure,
    finished,
    job_row,
    make_new_job,
    make_principal,
    record,
    rescue,
    run,
    write,
)

DAY = 86_400_000


def take(database, *, now=NOW + WAIT, owner="worker-1"):
    return write(database, native_batches.take_batch, owner, now, 60_000)


def save(database, batch_id, *, owner="worker-1", release=False, **columns):
    columns |= native_batches.RELEASED if release else {}
    return write(database, native_batches.save_batch, batch_id, owner, columns)


def test_jobs_wait_for_each_other_then_go_together(database):
    principal = make_principal(database)
    jobs = [make_native(database, principal) for _ in range(3)]
    # While the oldest has not waited long enough, nothing is claimed
    assert collect(database, now=NOW + WAIT - 1) == []
    assert {job_row(database, job).state for job in jobs} == {"queued"}
    # Then one batch holds them all, on record and not yet sent
    [batch_id] = collect(database)
    assert [job.id for job in held(database, batch_id)] == sorted(jobs)
    row = take(database)
    assert (row.id, row.state, row.lines, row.upstream_id) == (batch_id, "submitting", 3, None)
    assert {job_row(database, job).state for job in jobs} == {"running"}
    # and nothing is left to collect
    assert collect(database, now=NOW + 10 * WAIT) == []


def test_a_full_pack_goes_at_once_and_the_rest_waits(database):
    principal = make_principal(database)
    for _ in range(5):
        make_native(database, principal)
    made = collect(database, now=NOW, max_lines=2)
    assert [len(held(database, batch_id)) for batch_id in made] == [2, 2]
    assert [len(held(database, id_)) for id_ in collect(database, max_lines=2)] == [1]


def test_a_batch_has_one_native_model_and_deadlines_that_are_near_each_other(database):
    principal = make_principal(database)
    make_native(database, principal, native="small-1")
    make_native(database, principal, native="small-2")
    make_native(database, principal, model="acme/large")
    make_native(database, principal, deadline=NOW + DAY // 4)
    assert len(collect(database)) == 4


def test_bytes_are_bounded_by_what_the_provider_takes(database):
    principal = make_principal(database)
    for _ in range(4):
        make_native(database, principal)
    assert len(collect(database, bytes_at={"alpha": 1})) == 4


def test_scheduled_jobs_wait_for_their_time(database):
    principal = make_principal(database)
    job = make_native(database, principal, not_before=NOW + DAY // 2)
    assert collect(database) == []
    [batch_id] = collect(database, now=NOW + DAY // 2 + WAIT)
    assert [each.id for each in held(database, batch_id)] == [job]


def test_no_worker_claims_what_waits_for_a_batch_nor_rescues_what_is_in_one(database):
    principal = make_principal(database)
    job = make_native(database, principal)
    published = write(database, dispatch_due, DispatchPoll(NOW + WAIT, {"alpha": 10}))
    assert published == []
    collect(database)
    assert rescue(database, now=NOW + DAY) == []
    assert job_row(database, job).state == "running"


def test_one_process_takes_a_step_and_only_it_may_save(database):
    principal = make_principal(database)
    make_native(database, principal)
    [batch_id] = collect(database)
    assert take(database, owner="one").id == batch_id
    assert take(database, owner="two") is None
    assert not save(database, batch_id, owner="two", state="running")
    # A process that dies gives its lease up by silence; its successor sees how far it came
    assert save(database, batch_id, owner="one", state="creating", create_sent_at=NOW + WAIT)
    later = take(database, owner="two", now=NOW + WAIT + 60_001)
    assert (later.state, later.create_sent_at) == ("creating", NOW + WAIT)
    assert not save(database, batch_id, owner="one", state="running")


def test_lines_are_booked_once_however_often_the_results_are_read(database):
    principal = make_principal(database, credit=10 * HOLD)
    job = make_native(database, principal)
    [batch_id] = collect(database)
    [line] = held(database, batch_id)
    # When a crash in the middle has them read again
    assert record(database, finished(line, cost=400)) == [True]
    assert record(database, finished(line, cost=400)) == [False]
    # Then the answer is charged once
    assert entries(database, job) == {"hold": -HOLD, "settle": HOLD - 400}
    assert balance(database, principal.workspace_id) == 10 * HOLD - 400
    assert held(database, batch_id) == []
    assert database.read_now(native_batches.open_count, batch_id) == 0


def test_a_line_without_an_answer_falls_back_to_the_ordinary_lane(database):
    principal = make_principal(database)
    job = make_native(database, principal)
    [batch_id] = collect(database)
    [line] = held(database, batch_id)
    why = failure(AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT)
    record(database, failed(line, why=why, decision=Retry(0), announced=False))
    row = job_row(database, job)
    assert (row.state, row.lane, row.lease_owner) == ("scheduled", "batch", None)
    # and the dispatcher feeds it at its next look; the batch lets go of it
    published = write(database, dispatch_due, DispatchPoll(NOW + WAIT, {"alpha": 10}))
    assert [each.job_id for each in published] == [job]
    assert held(database, batch_id) == []
    assert attempts(database, job) == [(1, "not_sent")]
    assert collect(database, now=NOW + 10 * WAIT) == []


def test_the_callers_word_is_heard_before_and_while_the_provider_has_it(database):
    principal = make_principal(database, credit=10 * HOLD)
    waiting = make_native(database, principal)
    assert cancel(database, waiting, principal.workspace_id).value == "cancelled"
    running = make_native(database, principal)
    [batch_id] = collect(database)
    assert cancel(database, running, principal.workspace_id).value == "running"
    early = database.read_now(native_batches.ended_early, batch_id, NOW, 100)
    assert [(each.job.id, each.called_off) for each in early] == [(running, True)]


def test_a_cancellation_does_not_wait_for_the_next_look(database):
    principal = make_principal(database)
    job = make_native(database, principal)
    [batch_id] = collect(database)
    take(database)
    save(database, batch_id, release=True, state="running", next_poll_at=NOW + DAY)
    assert not database.read_now(native_batches.glance, NOW + WAIT).called_off
    cancel(database, job, principal.workspace_id)
    assert database.read_now(native_batches.glance, NOW + WAIT).called_off
    assert write(database, native_batches.hurry, NOW + WAIT) == 1
    assert take(database).id == batch_id


def test_a_passed_deadline_ends_a_job_that_is_still_in_a_batch(database):
    principal = make_principal(database)
    job = make_native(database, principal, deadline=NOW + DAY // 2)
    [batch_id] = collect(database, reserve_ms=DAY)
    row = database.read_now(
        lambda c: c.execute(select(NativeBatch.__table__).filter_by(id=batch_id)).one()
    )
    # there is time left for the ordinary lane, half of it when the reserve is longer than that
    assert row.give_up_at == NOW + WAIT + (DAY // 2 - WAIT) // 2
    early = database.read_now(native_batches.ended_early, batch_id, NOW + DAY // 2, 100)
    assert [(each.job.id, each.called_off) for each in early] == [(job, False)]


def test_what_was_booked_elsewhere_is_not_the_batchs_any_more(database):
    # Given a job that left the batch and runs in its ordinary lane
    principal = make_principal(database)
    job = make_native(database, principal)
    [batch_id] = collect(database)
    [line] = held(database, batch_id)
    record(database, failed(line, decision=Retry(0), announced=False))
    write(database, dispatch_due, DispatchPoll(NOW + WAIT, {"alpha": 10}))
    second = claim_one(database, job, now=NOW + WAIT)
    assert second.attempt == 2
    # When the batch's answer comes after all
    assert database.read_now(native_batches.open_among, batch_id, [job]) == []
    assert record(database, finished(line)) == [False]
    assert record(database, finished(second)) == [True]


def test_the_lines_stay_on_record_for_a_while_after_the_end(database):
    def on_record():
        rows = database.read_now(lambda c: c.execute(select(NativeLine.__table__)).all())
        return [(row.native_batch_id, row.job_id, row.attempt) for row in rows]

    principal = make_principal(database)
    job = make_native(database, principal)
    [batch_id] = collect(database)
    other = make_native(database, principal, model="acme/large")
    [running] = collect(database)
    take(database)
    save(database, batch_id, state="ended", ended_at=NOW)
    # Given a batch that has ended, and one that has not
    assert write(database, native_batches.delete_old, NOW + KEEP_MS - 1) is False
    assert sorted(on_record()) == sorted([(batch_id, job, 1), (running, other, 1)])
    # When its time is over, it goes with its lines
    assert write(database, native_batches.delete_old, NOW + KEEP_MS) is False
    assert on_record() == [(running, other, 1)]
    left = database.read_now(
        lambda c: c.execute(select(NativeBatch.__table__.c.id)).scalars().all()
    )
    assert left == [running]


def test_an_ordinary_job_is_never_collected(database):
    principal = make_principal(database)
    run(database, submission.submit_many, make_new_job(principal))
    assert collect(database) == []
