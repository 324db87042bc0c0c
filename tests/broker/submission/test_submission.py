import asyncio
from dataclasses import replace

import orjson
import pytest

from broker import routing
from broker.accounts import Principal
from broker.errors import (
    IdempotencyMismatchError,
    InsufficientCreditsError,
    InvalidRequestError,
)
from broker.queues import REDISPATCH_MS, Lane
from broker.storage.tables import Job, JobPayload, LedgerEntry
from broker.submission import Submitted, submit_many
from tests.factories import (
    HOLD,
    NOW,
    balance,
    count,
    entries,
    job_row,
    make_new_job,
    make_principal,
    run,
    submit,
)

UNSTORED = Principal("ws_free", "key_free", unlimited=True)
OTHER_BODY = {"messages": [{"role": "user", "content": "something else"}]}


def test_accepted_job_is_stored_whole_with_its_hold(database, caller):
    # When a job is submitted
    job_id = submit(database, caller, extra={"metadata": {"a": "b"}})
    # Then its row, its bodies and its hold are there
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.hold_nanos) == ("queued", 0, HOLD)
    assert entries(database, job_id) == {"hold": -HOLD}
    assert count(database, JobPayload) == 1


def test_same_key_and_body_give_the_same_job(database, caller):
    # Given a job with an idempotency key
    [first] = run(database, submit_many, make_new_job(caller, idempotency_key="k"))
    # When the same body comes again with that key
    [again] = run(database, submit_many, make_new_job(caller, idempotency_key="k"))
    # Then it is the earlier job, held once
    assert (again.job_id, again.replayed, first.replayed) == (first.job_id, True, False)
    assert count(database, Job) == count(database, LedgerEntry) == 1


def test_order_of_fields_does_not_make_another_body(database, caller):
    body = {"temperature": 1, "seed": 2}
    first = submit(database, caller, idempotency_key="k", body=body)
    reordered = dict(reversed(body.items()))
    assert submit(database, caller, idempotency_key="k", body=reordered) == first


def test_same_key_with_another_body_is_refused(database, caller):
    # Given a job with an idempotency key
    job_id = submit(database, caller, idempotency_key="k")
    # When another body comes with that key
    [refusal] = run(
        database, submit_many, make_new_job(caller, idempotency_key="k", body=OTHER_BODY)
    )
    # Then it is refused, the earlier job is named, and nothing was written
    assert isinstance(refusal, IdempotencyMismatchError)
    assert job_id in refusal.message
    assert count(database, Job) == count(database, LedgerEntry) == 1


def test_keys_of_different_workspaces_never_meet(database, caller):
    stranger = make_principal(database)
    first = submit(database, caller, idempotency_key="k")
    assert submit(database, stranger, idempotency_key="k", body=OTHER_BODY) != first


def test_duplicates_inside_one_group_are_one_job(database, caller):
    # When one group holds the same key three times, once with another body
    same = [make_new_job(caller, idempotency_key="k") for _ in range(2)]
    other = make_new_job(caller, idempotency_key="k", body=OTHER_BODY)
    first, again, refusal = run(database, submit_many, *same, other)
    # Then there is one job
    assert (again.job_id, again.replayed) == (first.job_id, True)
    assert isinstance(refusal, IdempotencyMismatchError)
    assert count(database) == 1


@pytest.mark.parametrize("credit", [None, HOLD])
async def test_concurrent_duplicates_of_two_processes_are_one_job(url, database, connect, credit):
    # Given two processes, and (once) a balance for just one job
    caller = make_principal(database, credit=credit)
    sides = [database, connect(url)]
    for key in map(str, range(10)):
        if credit and key != "0":
            break
        jobs = [make_new_job(caller, idempotency_key=key) for _ in range(2)]
        # When both get the same request at the same time
        results = await asyncio.gather(
            *[side.write_grouped(submit_many, job) for side, job in zip(sides, jobs, strict=True)]
        )
        # Then both callers are given the same job, and one of them knows it as a replay
        assert len({result.job_id for result in results}) == 1
        assert sorted(result.replayed for result in results) == [False, True]


async def test_duplicate_that_overtakes_its_twin_is_not_refused_for_money(
    postgres, empty_postgres_url, connect
):
    # Given a balance for one job, and a submission that has not committed yet
    caller = make_principal(postgres, credit=HOLD)
    other = connect(empty_postgres_url)
    first, twin = (make_new_job(caller, idempotency_key="k") for _ in range(2))
    with postgres.transaction() as connection:
        [accepted] = submit_many(connection, [first])
        # When its twin arrives at another process meanwhile
        waiting = asyncio.create_task(other.write_grouped(submit_many, twin))
        await _until_blocked(other)
    # Then the twin is told of the accepted job
    replay = await waiting
    assert (replay.job_id, replay.replayed) == (accepted.job_id, True)


async def test_unlimited_duplicate_that_overtakes_its_twin_is_answered(
    postgres, empty_postgres_url, connect
):
    caller = make_principal(postgres)
    other = connect(empty_postgres_url)
    first, twin = (make_new_job(caller, idempotency_key="k") for _ in range(2))
    with postgres.transaction() as connection:
        [accepted] = submit_many(connection, [first])
        waiting = asyncio.create_task(other.write_grouped(submit_many, twin))
        await _until_blocked(other)
    assert (await waiting).job_id == accepted.job_id


async def _until_blocked(database):
    """Wait until a session of this database waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not database.read_now(lambda c: c.exec_driver_sql(query).scalar_one()):
            await asyncio.sleep(0.005)


def test_too_little_credit_refuses_and_leaves_no_trace(database):
    # Given a balance one nano-dollar short
    caller = make_principal(database, credit=HOLD - 1)
    # When a job is submitted
    [refusal] = run(database, submit_many, make_new_job(caller, idempotency_key="k"))
    # Then it is refused with the status for it, nothing is held, and the key stays free
    assert isinstance(refusal, InsufficientCreditsError)
    assert refusal.status == 402
    assert count(database) == 0
    assert balance(database, caller.workspace_id) == HOLD - 1


def test_one_group_never_spends_a_balance_twice(database):
    # Given credit for two jobs
    caller = make_principal(database, credit=2 * HOLD)
    # When one group holds three
    results = run(database, submit_many, *[make_new_job(caller) for _ in range(3)])
    # Then two are admitted
    assert [type(r).__name__ for r in results] == [
        "Submitted",
        "Submitted",
        "InsufficientCreditsError",
    ]
    assert balance(database, caller.workspace_id) == 0


@pytest.mark.parametrize("processes", [1, 2])
async def test_fifty_submissions_on_credit_for_five_admit_five(url, database, connect, processes):
    # Given credit for five jobs
    caller = make_principal(database, credit=5 * HOLD)
    sides = [database, connect(url)][:processes]
    # When fifty are submitted at once
    writes = [
        sides[n % processes].write_grouped(submit_many, make_new_job(caller)) for n in range(50)
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)
    # Then five are admitted, the others hear why, and the balance is spent, not overdrawn
    refused = [r for r in results if isinstance(r, InsufficientCreditsError)]
    assert (len(refused), count(database)) == (45, 5)
    assert balance(database, caller.workspace_id) == 0


def test_unlimited_workspace_is_held_but_never_refused(database, caller):
    submit(database, caller)
    assert balance(database, caller.workspace_id) == -HOLD


def test_the_hold_is_for_the_first_choice_and_every_place_has_its_quote():
    places = [("a", "acme/one"), ("b", "acme/two"), ("c", "acme/two")]
    job = make_new_job(UNSTORED, places=places, hold=777, more=5)
    assert job.row["hold_nanos"] == 777
    assert orjson.loads(job.payload["quotes"]) == [777, 782, 787]


def test_fallbacks_dearer_than_max_cost_are_not_planned():
    places = [("a", "acme/one"), ("b", "acme/two"), ("c", "acme/two")]
    job = make_new_job(UNSTORED, places=places, hold=777, more=5, max_cost_nanos=786)
    plan = routing.decode_plan(job.payload["plan"])
    assert [place.endpoint.provider for place in plan.steps] == ["a", "b"]
    assert [(each.provider, each.code) for each in plan.excluded] == [("c", "max_cost")]
    assert len(orjson.loads(job.payload["quotes"])) == 2


def test_a_first_choice_dearer_than_max_cost_gives_way_to_the_others():
    places = [("a", "acme/one"), ("b", "acme/two")]
    job = make_new_job(UNSTORED, places=places, hold=777, more=-5, max_cost_nanos=775)
    assert job.provider == "b"
    assert job.row["hold_nanos"] == 772


def test_a_job_dearer_than_its_max_cost_is_refused_before_anything_is_written():
    with pytest.raises(InvalidRequestError) as refusal:
        make_new_job(UNSTORED, hold=HOLD, max_cost_nanos=HOLD - 1)
    assert refusal.value.param == "max_cost"
    assert make_new_job(UNSTORED, hold=HOLD, max_cost_nanos=HOLD).row["hold_nanos"] == HOLD


@pytest.mark.parametrize(
    ("wish", "state", "available", "dispatched"),
    [
        ({}, "queued", NOW, NOW + REDISPATCH_MS),
        ({"lane": Lane.BATCH}, "queued", NOW, NOW),
        ({"not_before": NOW + 500}, "scheduled", NOW + 500, NOW + 500),
        ({"not_before": NOW - 500}, "queued", NOW, NOW + REDISPATCH_MS),
        ({"deadline": NOW + 7}, "queued", NOW, NOW + 7),
        ({"not_before": NOW + 500, "deadline": NOW + 7}, "scheduled", NOW + 500, NOW + 7),
    ],
)
def test_when_a_new_job_may_run_and_is_looked_at(wish, state, available, dispatched):
    row = make_new_job(UNSTORED, **wish).row
    assert (row["state"], row["available_at"], row["dispatch_at"]) == (state, available, dispatched)


def test_the_request_travels_as_it_came():
    body = {"messages": [{"role": "user", "content": "ü\u0000"}], "unknown_field": [1, None]}
    job = make_new_job(UNSTORED, body=body)
    routed = {"models": ["acme/small"], "provider": {"sort": "price"}}
    assert orjson.loads(job.payload["request"]) == body | routed


def test_a_call_that_is_only_likely_to_be_covered_goes_alone(database):
    # Given credit for what a call probably costs, but not for its longest answer
    caller = make_principal(database, credit=HOLD - 1)
    jobs = [replace(make_new_job(caller), least_nanos=HOLD // 2) for _ in range(2)]
    # When two are submitted
    first, second = run(database, submit_many, *jobs)
    # Then one is accepted and holds all that is left, and the other hears that it may come back
    assert isinstance(first, Submitted)
    assert job_row(database, first.job_id).hold_nanos == HOLD - 1
    assert second.metadata["reason"] == "in_flight_budget_exhausted"
    assert "Retry-After" in second.headers
