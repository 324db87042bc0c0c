"""Identical calls as one: who leads, who follows, and what becomes of followers."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from broker import lifecycle, submission
from broker.completion import AttemptOutcome, ErrorType
from broker.dispatch.dispatch import DispatchPoll, dispatch_due
from broker.enums import JobState
from broker.errors import InvalidRequestError
from broker.jobs import reports, views
from broker.lifecycle.retries import GiveUp, Retry
from broker.routing.workspace_credentials import WorkspaceCredential, WorkspaceCredentials
from broker.storage.tables import CoalescedJob, JobPayload
from tests.factories import (
    HOLD,
    NOW,
    balance,
    cancel,
    claim_one,
    count,
    empty,
    entries,
    failed,
    failure,
    finished,
    generations,
    job_row,
    make_new_job,
    make_principal,
    record,
    run,
    submit,
    write,
)

BODY = {"model": "acme/small", "messages": [{"role": "user", "content": "the same"}]}


def join(database, principal, *, body=None, **wish):
    """Submit a job that shares its call; return what became of the submission."""
    job = make_new_job(principal, body=body or BODY, coalesce=True, **wish)
    [submitted] = run(database, submission.submit_many, job)
    return submitted


def answer(database, leader, *, cost=300):
    """Have a worker bring the leader's answer."""
    claimed = claim_one(database, leader)
    end = finished(claimed, cost=cost)
    told = {"id": "gen-x", "choices": [{"x": 1}], "usage": {"cost": 0.1, "total_tokens": 7}}
    return record(database, replace(end, response=orjson.dumps(told)))


def response(database, job_id):
    query = select(JobPayload.__table__.c.response).filter_by(job_id=job_id)
    return orjson.loads(database.read_now(lambda c: c.execute(query).scalar_one()))


def states(database, *job_ids):
    return [job_row(database, job_id).state for job_id in job_ids]


def test_the_first_leads_and_the_others_follow_without_a_queue(database):
    principal = make_principal(database)
    first, second, third = (join(database, principal) for _ in range(3))
    assert first.follows is None
    assert second.follows == third.follows == first.job_id
    published = write(database, dispatch_due, DispatchPoll(NOW + 60_000, {"alpha": 10}))
    assert [each.job_id for each in published] == [first.job_id]


def test_a_key_is_given_no_answer_from_where_its_own_call_might_not_go(database):
    """A leader of a freer key may be answered by a provider that the follower's key excludes."""
    free = make_principal(database)
    bound = replace(free, allowed_providers=frozenset({"alpha"}))
    narrow = replace(free, allowed_models=("acme/small",))
    brings = WorkspaceCredentials({"alpha": [WorkspaceCredential("cred_1", "alpha", "mine")]})
    own = replace(free, own_keys=brings)
    leaders = [join(database, each) for each in (free, bound, narrow, own)]
    assert [each.follows for each in leaders] == [None] * 4
    assert join(database, bound).follows == leaders[1].job_id


def test_jobs_handed_in_together_find_each_other(database):
    principal = make_principal(database)
    jobs = [make_new_job(principal, body=BODY, coalesce=True) for _ in range(5)]
    submitted = run(database, submission.submit_many, *jobs)
    assert [each.follows for each in submitted] == [None] + [jobs[0].id] * 4


def test_only_identical_calls_of_one_workspace_are_one(database):
    ours, theirs = make_principal(database), make_principal(database, name="other")
    assert join(database, ours).follows is None
    assert join(database, theirs).follows is None
    assert join(database, ours, body=BODY | {"temperature": 1}).follows is None
    assert submit(database, ours, body=BODY)  # who does not ask is never made to follow
    reordered = dict(reversed(BODY.items()))
    assert join(database, ours, body=reordered).follows is not None
    assert join(database, ours, body=BODY | {"coalesce": True}).follows is not None


def test_all_have_the_answer_and_one_pays(database):
    principal = make_principal(database, credit=10 * HOLD)
    leader, *followers = [join(database, principal).job_id for _ in range(4)]
    answer(database, leader, cost=300)
    assert states(database, leader, *followers) == ["completed"] * 4
    assert entries(database, leader) == {"hold": -HOLD, "settle": HOLD - 300}
    for follower in followers:
        assert entries(database, follower) == {"hold": -HOLD, "settle": HOLD}
        told = response(database, follower)
        assert told["coalesced_with"] == leader
        assert told["choices"] == [{"x": 1}]
        assert told["usage"] == {"cost": 0.0, "total_tokens": 7}
        [made] = generations(database, follower)
        assert (made.cost_nanos, told["id"]) == (0, made.id)
    assert balance(database, principal.workspace_id) == 10 * HOLD - 300
    # whoever waits for a follower hears of its end, though it had no attempt of its own
    report = database.read_now(reports.job, principal.workspace_id, followers[0])
    [end] = reports.past_events(report)
    assert (end.number, end.is_end) == (1, True)
    assert orjson.loads(end.data)["response"]["coalesced_with"] == leader
    assert views.job(report)["coalesced_with"] == leader
    # and the next identical call is a new one
    assert count(database, CoalescedJob) == 0
    assert join(database, principal).follows is None


@pytest.mark.parametrize("how", ["failed", "cancelled", "review"])
def test_without_an_answer_the_oldest_follower_leads_in_its_own_lane(database, how):
    principal = make_principal(database, credit=10 * HOLD)
    leader, second, third = [join(database, principal).job_id for _ in range(3)]
    if how == "cancelled":
        cancel(database, leader, principal.workspace_id)
    else:
        decision = GiveUp(JobState.NEEDS_REVIEW) if how == "review" else GiveUp()
        claimed = claim_one(database, leader)
        why = failure(AttemptOutcome.UNKNOWN, ErrorType.SERVER)
        record(database, failed(claimed, why=why, decision=decision))
    row = job_row(database, second)
    assert (row.state, row.lane, row.coalesced_with) == ("queued", "interactive", second)
    assert job_row(database, third).coalesced_with == second
    assert join(database, principal).follows == second
    published = write(database, dispatch_due, DispatchPoll(NOW + 1, {"alpha": 10}))
    assert second in [each.job_id for each in published]
    answer(database, second)
    assert states(database, second, third) == ["completed", "completed"]
    assert response(database, third)["coalesced_with"] == second


def test_a_retry_of_the_leader_concerns_nobody(database):
    principal = make_principal(database)
    leader, second = [join(database, principal).job_id for _ in range(2)]
    record(database, failed(claim_one(database, leader), decision=Retry(0)))
    assert job_row(database, second).lane == "coalesced"
    answer(database, leader)
    assert states(database, second) == ["completed"]


def test_a_follower_may_leave_by_itself(database):
    principal = make_principal(database, credit=10 * HOLD)
    leader, second, third = [join(database, principal).job_id for _ in range(3)]
    cancel(database, second, principal.workspace_id)
    assert entries(database, second) == {"hold": -HOLD, "release": HOLD}
    answer(database, leader)
    assert states(database, second, third) == ["cancelled", "completed"]


def test_a_followers_deadline_is_its_own(database):
    principal = make_principal(database)
    leader = join(database, principal).job_id
    hasty = join(database, principal, deadline=NOW + 1_000).job_id
    write(database, lifecycle.expire, NOW + 1_000)
    assert states(database, leader, hasty) == ["queued", "expired"]


def test_a_second_leader_is_impossible(database):
    # Given a database in which two processes decide at the same time
    principal = make_principal(database)
    first, second = join(database, principal), join(database, principal)
    table = CoalescedJob.__table__
    forced = update(table).where(table.c.job_id == second.job_id).values(leads=True)
    with pytest.raises(Exception, match=r"(?i)unique"), database.transaction() as connection:
        connection.execute(forced)
    assert first.follows is None


def test_a_stream_is_refused_by_name(database):
    principal = make_principal(database)
    with pytest.raises(InvalidRequestError) as refused:
        join(database, principal, body=BODY | {"stream": True})
    assert refused.value.param == "coalesce"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ends=st.lists(st.sampled_from(["answer", "fail", "cancel", "join"]), max_size=12))
def test_whatever_happens_every_job_ends_and_each_answer_is_paid_once(sqlite_url, connect, ends):
    database = connect(sqlite_url)
    empty(database)
    principal = make_principal(database, credit=1_000 * HOLD)
    jobs = [join(database, principal).job_id]
    paid = 0
    for what in [*ends, *["answer"] * 2]:
        if what == "join":
            jobs.append(join(database, principal).job_id)
            continue
        leaders = [
            job
            for job in jobs
            if job_row(database, job).state == "queued"
            and job_row(database, job).lane != "coalesced"
        ]
        if not leaders:
            continue
        assert len(leaders) == 1
        if what == "answer":
            answer(database, leaders[0], cost=7)
            paid += 7
        elif what == "fail":
            record(database, failed(claim_one(database, leaders[0]), decision=GiveUp()))
        else:
            cancel(database, leaders[0], principal.workspace_id)
    assert set(states(database, *jobs)) <= {"completed", "failed", "cancelled"}
    assert balance(database, principal.workspace_id) == 1_000 * HOLD - paid


async def test_processes_that_submit_at_the_same_time_agree_on_one_leader(url, connect):
    # Given two processes on one database
    processes = [connect(url), connect(url)]
    principal = make_principal(processes[0])
    jobs = [make_new_job(principal, body=BODY, coalesce=True) for _ in range(20)]
    # When both hand in identical calls at the same time
    submitted = await asyncio.gather(
        *(
            processes[number % 2].write_grouped(submission.submit_many, job)
            for number, job in enumerate(jobs)
        )
    )
    # Then one leads
    leaders = [each.job_id for each in submitted if each.follows is None]
    assert len(leaders) == 1
    assert {each.follows for each in submitted} == {None, leaders[0]}
