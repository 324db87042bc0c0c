"""Lines are fed in fair turns, at a cost that no backlog changes."""

from collections import Counter

import pytest
from sqlalchemy import insert, update

from broker.dispatch.dispatch import DispatchPoll, DispatchState, dispatch_due
from broker.enums import BatchState
from broker.lifecycle import Deferral, defer_many
from broker.providers.pacing import Busy, Cause
from broker.queues import Lane
from broker.requests.operations import Operation
from broker.routing.waiting import Congestion
from broker.storage.tables import Batch, Job, Workspace
from broker.submission import submit_many
from tests.factories import (
    NOW,
    claim_one,
    empty,
    finished,
    job_row,
    make_new_job,
    make_principal,
    record,
    run,
    submit,
    write,
)


def queue(database, caller, count, **wish):
    """Submit batch jobs; return their ids in order of submission."""
    jobs = [
        make_new_job(caller, now=NOW - count + n, lane=Lane.BATCH, **wish) for n in range(count)
    ]
    return [submitted.job_id for submitted in run(database, submit_many, *jobs)]


def look(database, room, *, state=None, now=NOW):
    due = DispatchPoll(now, {"alpha": room}, state or DispatchState())
    chosen = write(database, dispatch_due, due)
    return [job.job_id for job in chosen]


def work(database, job_ids):
    """Do these jobs, as workers would."""
    for job_id in job_ids:
        record(database, finished(claim_one(database, job_id)))


def make_batch(database, caller, batch_id, *, state=BatchState.IN_PROGRESS, max_concurrency=None):
    row = Batch(
        id=batch_id,
        workspace_id=caller.workspace_id,
        api_key_id=caller.api_key_id,
        state=state,
        endpoint=Operation.CHAT,
        input_file_id="file_1",
        completion_window="24h",
        options="{}",
        max_concurrency=max_concurrency,
        cursor=0,
        created_at=NOW,
        expires_at=NOW + 1_000_000,
    )
    with database.transaction() as connection:
        connection.execute(insert(Batch.__table__), [row.model_dump()])
    return batch_id


@pytest.fixture
def other(database):
    return make_principal(database, name="other")


def test_a_short_backlog_beside_a_deep_one_takes_twice_its_own_time(database, caller, other):
    # Given 300 lines of one workspace, and then 20 of another
    queue(database, caller, 300)
    short = set(queue(database, other, 20))
    # When workers do ten at a time
    state, looks = DispatchState(), 0
    while short:
        done = look(database, 10, state=state)
        work(database, done)
        short -= set(done)
        looks += 1
    # Then the short one is done after four looks: two would be all that it takes alone
    assert looks == 4


def test_a_workspaces_weight_is_its_share(database, caller, other):
    with database.transaction() as connection:
        heavy = Workspace.__table__.c.id == caller.workspace_id
        connection.execute(update(Workspace.__table__).where(heavy).values(weight=3))
    queue(database, caller, 30)
    queue(database, other, 30)
    chosen = [job_row(database, job_id).workspace_id for job_id in look(database, 20)]
    assert Counter(chosen) == {caller.workspace_id: 15, other.workspace_id: 5}


def test_higher_priority_goes_first_then_age(database, caller):
    low = queue(database, caller, 3)
    high = queue(database, caller, 2, priority=5)
    assert look(database, 4) == [*high, *low[:2]]


def test_jobs_of_many_batches_take_turns(database, caller):
    batches = {name: queue(database, caller, 5, batch_id=name) for name in ("one", "two", "three")}
    chosen = look(database, 6)
    assert {name: len(set(ids) & set(chosen)) for name, ids in batches.items()} == {
        "one": 2,
        "two": 2,
        "three": 2,
    }


def test_a_batch_has_no_more_in_flight_than_it_asked_for(database, caller):
    # Given a batch that wants two lines in flight
    batch_id = make_batch(database, caller, "batch_1", max_concurrency=2)
    ids = queue(database, caller, 6, batch_id=batch_id)
    # When the dispatcher looks while lines wait on the queue, run, and end
    state = DispatchState()
    assert look(database, 100, state=state) == ids[:2]
    assert look(database, 100, state=state) == []
    running = claim_one(database, ids[0])
    assert look(database, 100, state=state) == []
    record(database, finished(running))
    # Then one more goes for each that has ended
    assert look(database, 100, state=state) == ids[2:3]


def test_lines_in_a_providers_batch_take_no_place_of_those_outside(database, caller):
    batch_id = make_batch(database, caller, "batch_1", max_concurrency=1)
    ids = queue(database, caller, 3, batch_id=batch_id)
    with database.transaction() as connection:
        native = {"state": "running", "lane": "native", "line": None}
        connection.execute(update(Job.__table__).filter_by(id=ids[0]).values(native))
    assert look(database, 100) == ids[1:2]


@pytest.mark.parametrize("state", ["cancelling", "finalizing", "expired"])
def test_a_batch_that_ends_is_fed_no_further(database, caller, state):
    queue(
        database,
        caller,
        3,
        batch_id=make_batch(database, caller, "batch_1", state=BatchState(state)),
    )
    mine = queue(database, caller, 1)
    assert look(database, 100) == mine


def test_interactive_jobs_that_were_put_off_go_before_any_batch(database, caller):
    # Given a full backlog, and an interactive job that found no slot
    queue(database, caller, 50)
    urgent = submit(database, caller)
    busy = Busy("alpha", Cause.CONCURRENCY, NOW + 100)
    run(database, defer_many, Deferral(urgent, NOW, busy, Congestion()))
    # When it is due again
    # Then it is the first to go
    assert look(database, 1, now=NOW + 100) == [urgent]


def test_a_new_leader_goes_on_where_the_last_one_ended(database, caller, other):
    queue(database, caller, 30)
    queue(database, other, 30)
    fed = [*look(database, 10), *look(database, 20, state=DispatchState())]
    assert len(set(fed)) == 20


def test_a_look_costs_the_same_whatever_the_backlog(sqlite_url, connect):
    """Counted in steps of SQLite's virtual machine: no clock, no noise."""
    steps = {}
    for backlog in (200, 5_000):
        database = connect(sqlite_url)
        empty(database)
        one, two = make_principal(database, name="one"), make_principal(database, name="two")
        queue(database, one, backlog)
        queue(database, two, 100)
        state = DispatchState()
        look(database, 20, state=state)  # what is read once, and what is on the queues
        steps[backlog] = _steps(database, DispatchPoll(NOW + 1, {"alpha": 40}, state))
    assert steps[5_000] < 2 * steps[200]


def _steps(database, due):
    taken = Counter()
    with database.transaction() as connection:
        raw = connection.connection.dbapi_connection
        raw.set_progress_handler(lambda: taken.update(steps=1), 10)
        chosen = dispatch_due(connection, due)
        raw.set_progress_handler(None, 0)
    assert len(chosen) == 20
    return taken["steps"]
