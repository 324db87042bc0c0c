from dataclasses import replace

import orjson
import pytest
from sqlalchemy import select

from broker import batches
from broker.batches import BatchEnd, BatchState, StopReason, reports
from broker.batches.view import usage
from broker.errors import ConflictError, NotFoundError
from broker.storage.tables import BatchLine, Delivery
from tests.broker.batches.factories import (
    batch_row,
    complete,
    lines_of,
    make_batch,
    stop,
    taken_in,
    totals,
)
from tests.factories import (
    NOW,
    claim_one,
    count,
    entries,
    failed,
    finished,
    job_row,
    make_principal,
    record,
    write,
)

WEBHOOK = '{"url":"https://example.com/hook","events":[]}'


def end(database, batch_id, state=BatchState.COMPLETED):
    return write(database, batches.end_batch, BatchEnd(batch_id, state, NOW))


def test_a_batch_ends_once_and_says_so_once(database, caller):
    # Given a batch with a webhook whose lines have all ended
    batch_id, job_ids = taken_in(database, caller, lines=2, webhook=WEBHOOK)
    for job_id in job_ids:
        complete(database, job_id, cost=70)
    # When two leaders end it
    assert [end(database, batch_id), end(database, batch_id)] == [True, False]
    # Then its totals are written down, and its receiver is told once
    stored = orjson.loads(batch_row(database, batch_id).totals)
    assert (stored["completed"], stored["failed"], stored["cost_nanos"]) == (2, 0, 140)
    [told] = deliveries(database)
    assert (told.event_type, told.subject_id) == ("batch.completed", batch_id)


def deliveries(database):
    table = Delivery.__table__
    query = select(table).where(table.c.event_type.startswith("batch."))
    return database.read_now(lambda connection: connection.execute(query).all())


def test_usage_says_whether_own_keys_were_used_and_what_they_are_charged(database, caller):
    batch_id, [ours, theirs] = taken_in(database, caller, lines=2)
    complete(database, ours, cost=70)
    assert usage_of(database, batch_id)["is_byok"] is False
    assert "cost_details" not in usage_of(database, batch_id)
    end_of_it = finished(claim_one(database, theirs), cost=20)
    own = end_of_it.generation._replace(is_byok=True, byok_cost_nanos=500)
    record(database, replace(end_of_it, generation=own))
    for _ in range(2):  # as counted from the jobs, and as written down at the end
        told = usage_of(database, batch_id)
        assert (told["is_byok"], told["cost"]) == (True, 90e-9)
        assert told["cost_details"] == {"upstream_inference_cost": 500e-9}
        end(database, batch_id)


def test_totals_that_were_written_down_before_own_keys_were_counted(database, caller):
    batch_id, _ = taken_in(database, caller, lines=1)
    end(database, batch_id)
    stored = orjson.loads(batch_row(database, batch_id).totals)
    older = {name: stored[name] for name in stored if "key" not in name and "byok" not in name}
    assert len(older) == len(stored) - 2
    assert usage(reports.BatchTotals.from_json(orjson.dumps(older).decode()))["is_byok"] is False


def usage_of(database, batch_id):
    return usage(totals(database, batch_id))


def test_looking_at_a_batch_changes_nothing(database, caller):
    """Complaint: a batch was billed once for each status poll, or never."""
    batch_id, [job_id] = taken_in(database, caller, lines=1)
    complete(database, job_id, cost=70)
    seen = {totals(database, batch_id).cost_nanos for _ in range(3)}
    end(database, batch_id)
    seen |= {totals(database, batch_id).cost_nanos for _ in range(3)}
    assert seen == {70}
    assert list(entries(database, job_id)) == ["hold", "settle"]


def test_stopping_ends_what_waits_and_leaves_what_runs(database, caller):
    # Given a batch with a line that is done, one that runs, and one that waits
    batch_id, [done, running, waiting] = taken_in(database, caller)
    complete(database, done)
    claimed = claim_one(database, running)
    # When it is cancelled
    assert stop(database, batch_id) is BatchState.CANCELLING
    assert write(database, batches.cancel_jobs, batch_id, NOW) == 1
    # Then the waiting line gives its hold back, and the running one may finish
    assert job_row(database, waiting).state == "cancelled"
    assert sum(entries(database, waiting).values()) == 0
    assert database.read_now(reports.has_open_job, batch_id)
    record(database, failed(claimed))  # queued again: called off at the next look
    assert write(database, batches.cancel_jobs, batch_id, NOW) == 1
    assert not database.read_now(reports.has_open_job, batch_id)
    row = batch_row(database, batch_id)
    assert database.read_now(reports.find_last_state, row) is BatchState.CANCELLED
    end(database, batch_id, BatchState.CANCELLED)
    assert (totals(database, batch_id).completed, totals(database, batch_id).failed) == (1, 2)


def test_lines_in_a_providers_own_batch_are_called_off_too(database, caller):
    """They may lie there for a day: nobody waits for that."""
    batch_id, [job_id] = taken_in(database, caller, lines=1)
    claim_one(database, job_id)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE jobs SET lane = 'native'")
    stop(database, batch_id)
    assert write(database, batches.cancel_jobs, batch_id, NOW) == 1
    assert job_row(database, job_id).cancel_requested
    assert write(database, batches.cancel_jobs, batch_id, NOW) == 0


def test_cancelling_twice_is_no_error_but_too_late_is(database, caller):
    batch_id = make_batch(database, caller)
    assert [stop(database, batch_id), stop(database, batch_id)] == [BatchState.CANCELLING] * 2
    other = make_batch(database, caller)
    end(database, other)
    with pytest.raises(ConflictError):
        stop(database, other)


def test_a_strangers_batch_is_not_there(database, caller):
    batch_id = make_batch(database, caller)
    stranger = make_principal(database).workspace_id
    with pytest.raises(NotFoundError):
        stop(database, batch_id, workspace_id=stranger)
    with pytest.raises(NotFoundError):
        write(database, batches.delete_batch, batch_id, stranger)
    assert database.read_now(reports.find, stranger, batch_id) is None
    assert batch_row(database, batch_id).state == "validating"


@pytest.mark.parametrize("reason", [StopReason.MAX_COST, StopReason.CREDITS, StopReason.ON_ERROR])
def test_a_batch_says_why_it_stopped(database, caller, reason):
    batch_id = make_batch(database, caller)
    stop(database, batch_id, reason)
    row = batch_row(database, batch_id)
    assert database.read_now(reports.find_last_state, row) is BatchState.CANCELLED
    end(database, batch_id, BatchState.CANCELLED)
    [told] = orjson.loads(batch_row(database, batch_id).errors)
    assert told["code"] == reason.value


def test_only_a_batch_that_has_ended_is_forgotten(database, caller):
    batch_id, _ = taken_in(database, caller)
    with pytest.raises(ConflictError):
        write(database, batches.delete_batch, batch_id, caller.workspace_id)
    assert len(lines_of(database, batch_id)) == 3
    end(database, batch_id)
    assert write(database, batches.delete_batch, batch_id, caller.workspace_id) == []
    assert count(database, BatchLine) == 0
    assert batch_row(database, batch_id) is None
