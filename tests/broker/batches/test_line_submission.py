import contextlib
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import batches
from broker.batches import Group, StopReason, Taken
from broker.batches.line_submission import MARGIN
from broker.storage.tables import Job
from tests.broker.batches.factories import (
    LINE_BYTES,
    bad_line,
    batch_row,
    complete,
    job_line,
    lines_of,
    make_batch,
    stop,
    take_in,
    totals,
)
from tests.factories import (
    HOLD,
    NOW,
    balance,
    count,
    entries,
    job_row,
    make_principal,
    write,
)


def test_lines_become_jobs_and_the_cursor_follows(database, caller):
    # Given a batch of three lines
    batch_id = make_batch(database, caller, lines=3, priority=5)
    # When two of them are taken in
    taken = take_in(database, batch_id, [job_line(caller, batch_id, n) for n in (1, 2)])
    # Then they are jobs of the batch, and the rest follows from there
    assert taken == Taken(2)
    batch = batch_row(database, batch_id)
    assert (batch.state, batch.lines_read, batch.cursor) == ("in_progress", 2, 2 * LINE_BYTES)
    jobs = [job_row(database, line.job_id) for line in lines_of(database, batch_id)]
    assert [(job.batch_id, job.lane, job.state) for job in jobs] == [
        (batch_id, "batch", "queued")
    ] * 2
    take_in(database, batch_id, [job_line(caller, batch_id, 3)])
    assert [(line.number, line.custom_id) for line in lines_of(database, batch_id)] == [
        (1, "line-1"),
        (2, "line-2"),
        (3, "line-3"),
    ]


def test_a_group_is_whole_or_not_at_all(database, caller):
    # Given a process that is killed before the commit
    batch_id = make_batch(database, caller)
    group = Group(batch_id, 0, [job_line(caller, batch_id, 1)], None, NOW)
    with contextlib.suppress(KeyboardInterrupt), database.transaction() as connection:
        batches.insert_lines(connection, group)
        raise KeyboardInterrupt
    # Then nothing was taken in, and the next process begins where it began
    assert (count(database, Job), batch_row(database, batch_id).cursor) == (0, 0)


def test_who_comes_second_takes_nothing_in(database, caller):
    # Given two leaders who read the same group
    batch_id = make_batch(database, caller)
    groups = [Group(batch_id, 0, [job_line(caller, batch_id, 1)], None, NOW) for _ in range(2)]
    # Then only one of them has it
    assert [write(database, batches.insert_lines, group).lines for group in groups] == [1, 0]
    assert count(database, Job) == 1


def test_a_stopped_batch_takes_nothing_in(database, caller):
    batch_id = make_batch(database, caller)
    stop(database, batch_id)
    assert take_in(database, batch_id, [job_line(caller, batch_id, 1)]) == Taken(0)
    assert count(database, Job) == 0


def test_a_bad_line_fails_alone(database, caller):
    batch_id = make_batch(database, caller)
    take_in(database, batch_id, [job_line(caller, batch_id, 1), bad_line(2)])
    assert [line.job_id is None for line in lines_of(database, batch_id)] == [False, True]
    counted = totals(database, batch_id)
    assert (counted.total, counted.completed, counted.failed) == (3, 0, 1)


def test_credits_that_end_make_the_rest_wait(database):
    # Given credit for two lines of three
    caller = make_principal(database, credit=2 * HOLD + 1)
    batch_id = make_batch(database, caller)
    lines = [job_line(caller, batch_id, n) for n in (1, 2, 3)]
    # Then two are taken in, and the third waits until something was settled
    assert take_in(database, batch_id, lines) == Taken(2, StopReason.CREDITS)
    assert batch_row(database, batch_id).waits_for == "insufficient_credits"
    assert balance(database, caller.workspace_id) == 1
    assert take_in(database, batch_id, lines[2:]) == Taken(0, StopReason.CREDITS)
    complete(database, lines_of(database, batch_id)[0].job_id, cost=1)
    assert take_in(database, batch_id, lines[2:]) == Taken(1)
    assert batch_row(database, batch_id).waits_for is None


def test_identical_lines_are_one_job(database, caller):
    # Given lines of which some ask for the same, in one group and in the next
    batch_id = make_batch(database, caller, lines=4)
    first = [job_line(caller, batch_id, n, digest=what) for n, what in ((1, "x"), (2, "x"))]
    take_in(database, batch_id, first)
    then = [job_line(caller, batch_id, n, digest=what) for n, what in ((3, "y"), (4, "x"))]
    take_in(database, batch_id, then)
    # Then each thing is asked for once, held once and charged once, and each line is answered
    same, _, other, again = [line.job_id for line in lines_of(database, batch_id)]
    assert (same == again, same == other, count(database, Job)) == (True, False, 2)
    complete(database, same, cost=40)
    counted = totals(database, batch_id)
    assert (counted.completed, counted.cost_nanos) == (3, 40)
    assert entries(database, same) == {"hold": -HOLD, "settle": HOLD - 40}


def test_lines_that_would_pass_the_cap_wait(database, caller):
    # Given a cap for two lines at most
    cap = 2 * HOLD
    batch_id = make_batch(database, caller, max_cost_nanos=cap)
    lines = [job_line(caller, batch_id, n) for n in (1, 2, 3)]
    left = database.read_now(batches.budget, batch_id, cap)
    # Then the third waits
    assert take_in(database, batch_id, lines, budget=left) == Taken(2, StopReason.MAX_COST)
    assert database.read_now(batches.budget, batch_id, cap) == 0


def test_a_line_that_is_only_likely_to_fit_goes_alone(database, caller):
    # Given less than a line may cost, but MARGIN times what it probably costs
    cap = HOLD - 1
    batch_id = make_batch(database, caller, max_cost_nanos=cap)
    lines = [
        replace(each, job=replace(each.job, least_nanos=cap // MARGIN))
        for each in (job_line(caller, batch_id, n) for n in (1, 2))
    ]
    # Then it is taken in, and the next one waits until it has ended
    assert take_in(database, batch_id, lines, budget=cap) == Taken(1, StopReason.MAX_COST)
    left = database.read_now(batches.budget, batch_id, cap)
    assert take_in(database, batch_id, lines[1:], budget=left).lines == 0
    complete(database, lines_of(database, batch_id)[0].job_id, cost=0)
    left = database.read_now(batches.budget, batch_id, cap)
    assert take_in(database, batch_id, lines[1:], budget=left).lines == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cap=st.integers(0, 60),
    holds=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    shares=st.lists(st.floats(0, 1), min_size=8, max_size=8),
)
def test_costs_never_pass_the_cap(sqlite_url, connect, cap, holds, shares):
    # Given a cap, and lines that hold `holds` and cost that much at most
    base = connect(sqlite_url)
    caller = make_principal(base)
    batch_id = make_batch(base, caller, lines=len(holds), max_cost_nanos=cap)
    taken = 0
    while taken < len(holds):
        left = base.read_now(batches.budget, batch_id, cap)
        # Then at no time do costs, and what open lines may cost, come to more than the cap
        assert left >= 0
        number = taken + 1
        group = [job_line(caller, batch_id, number, hold=holds[taken])]
        if take_in(base, batch_id, group, budget=left).lines:
            taken += 1
            if number % 2:  # some end at once, some stay open
                job_id = lines_of(base, batch_id)[-1].job_id
                complete(base, job_id, cost=int(shares[taken - 1] * holds[taken - 1]))
            continue
        open_jobs = [line for line in lines_of(base, batch_id) if line.state == "queued"]
        if not open_jobs:
            break
        complete(base, open_jobs[0].job_id, cost=0)
    assert base.read_now(batches.budget, batch_id, cap) >= 0
