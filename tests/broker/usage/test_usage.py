"""Usage is added up as it settles, and read from the sums."""

import dataclasses
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from broker import submission, usage
from broker.lifecycle.retries import GiveUp
from broker.storage.tables import UsageRollup
from broker.usage import ActivityFilter, Condition, KeyUsage, Reset, UsageQuery, ends_at, starts_at
from broker.usage.periods import DAY_MS, HOUR_MS
from broker.usage.rollups import UsageCounts
from tests.factories import (
    NOW,
    failed,
    finished,
    make_new_job,
    make_principal,
    record,
    submit_and_claim,
)

TOKENS = {
    "input_tokens": 10,
    "cache_read_tokens": 5,
    "output_tokens": 7,
    "reasoning_tokens": 3,
    "first_token_ms": 40,
}
ROLLUPS = UsageRollup.__table__


def answer(database, caller, *, now=NOW, cost=300, places=(("alpha", "m/one"),), **more):
    """One answered job."""
    job = submit_and_claim(database, caller, now=now, places=places, **more)
    ending = finished(job, now=now, cost=cost)
    generation = ending.generation._replace(**TOKENS)
    record(database, dataclasses.replace(ending, generation=generation))


def test_sums_are_written_once_last_and_in_one_order(database, caller, frequent):
    """All processes write the same rows: in any order they would wait for each other for ever
    (litellm#6895, #27989), and who writes them early keeps the others waiting until it is done."""
    places = (("alpha", "m/two"),), (("alpha", "m/one"),), (("beta", "m/one"),)
    jobs = [submit_and_claim(database, caller, places=each) for each in places]
    jobs += [submit_and_claim(database, caller, coalesce=True)]
    with database.transaction() as connection:
        follower = make_new_job(caller, coalesce=True)
        submission.submit_many(connection, [follower])
    answered = b'{"choices": [], "usage": {}}'
    endings = [
        finished(jobs[0]),
        failed(jobs[1], decision=GiveUp()),
        dataclasses.replace(finished(jobs[3]), response=answered),
        finished(jobs[2]),
    ]
    frequent.clear()
    record(database, *endings)
    assert [sql.split()[2] for sql, _ in frequent].count("usage_rollups") == 1
    sql, rows = frequent[-1]
    assert sql.split()[2] == "usage_rollups"
    assert len(rows) == 4 * 3  # hour, day and month of each kind
    keys = [tuple(row.values())[:8] for row in rows]
    assert keys == sorted(keys)
    [day] = database.read_now(
        lambda c: c.execute(
            select(func.sum(ROLLUPS.c.requests), func.sum(ROLLUPS.c.failures)).where(
                ROLLUPS.c.period == "day"
            )
        ).all()
    )
    assert tuple(map(int, day)) == (4, 1)


def ask(database, *metrics, **more):
    question = UsageQuery(metrics, start=0, end=NOW + 40 * DAY_MS, **more)
    return [dict(row) for row in database.read_now(usage.run_query, question)]


def test_an_answer_counts_in_its_hour_day_and_month(database, caller):
    answer(database, caller, body={"user": "u-1"}, app="My app")
    rows = database.read_now(lambda c: c.execute(select(ROLLUPS)).all())
    assert {(row.period, row.starts_at) for row in rows} == {
        ("hour", NOW - NOW % HOUR_MS),
        ("day", NOW - NOW % DAY_MS),
        ("month", int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)),
    }
    for row in rows:
        assert (row.app, row.end_user, row.api_key_id) == ("My app", "u-1", caller.api_key_id)
        assert (row.requests, row.failures, row.cost_nanos) == (1, 0, 300)
        assert (row.prompt_tokens, row.cached_tokens) == (15, 5)
        assert (row.completion_tokens, row.reasoning_tokens) == (7, 3)


def test_a_failure_counts_and_costs_nothing(database, caller):
    job = submit_and_claim(database, caller)
    record(database, failed(job, decision=GiveUp()))
    assert ask(database, "failure_count", "request_count", "total_usage") == [
        {"failure_count": 1, "request_count": 0, "total_usage": 0}
    ]


def test_nothing_is_counted_as_none(database):
    names = ("request_count", "total_tokens", "total_usage")
    assert ask(database, *names) == [dict.fromkeys(names, 0)]


def test_metrics_by_dimension_and_time(database, caller):
    # Given answers of two models on two days
    for now, model, cost in [
        (NOW, "m/one", 10**9),
        (NOW, "m/two", 3 * 10**9),
        (NOW + DAY_MS, "m/one", 5 * 10**9),
    ]:
        answer(database, caller, now=now, cost=cost, places=[("alpha", model)], hold=10**10)
    # Then they are told apart by model, by day, by both, and filtered
    assert ask(database, "total_usage", dimensions=["model"]) == [
        {"model": "m/one", "total_usage": 6},
        {"model": "m/two", "total_usage": 3},
    ]
    days = ask(database, "request_count", granularity="day")
    assert [(row["date"], row["request_count"]) for row in days] == [
        (NOW - NOW % DAY_MS, 2),
        (NOW - NOW % DAY_MS + DAY_MS, 1),
    ]
    only = [Condition("model", "in", ["m/two"])]
    assert ask(database, "total_usage", conditions=only) == [{"total_usage": 3}]
    assert ask(database, "cache_hit_rate")[0]["cache_hit_rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
def test_every_granularity_has_the_same_total(database, caller, granularity):
    for days in (0, 1, 8, 30):
        answer(database, caller, now=NOW + days * DAY_MS, cost=7)
    rows = ask(database, "request_count", granularity=granularity)
    assert sum(row["request_count"] for row in rows) == 4
    if granularity == "week":
        assert {datetime.fromtimestamp(row["date"] / 1000, UTC).weekday() for row in rows} == {0}


def test_activity_shows_the_last_thirty_completed_days(database, caller):
    # Given answers today, yesterday, 30 and 31 days ago
    for days in (0, 1, 30, 31):
        answer(database, caller, now=NOW - days * DAY_MS)
    # Then neither today nor the 31st day is there
    rows = database.read_now(usage.list_activity, ActivityFilter(NOW, [caller.workspace_id]))
    today = NOW - NOW % DAY_MS
    assert [row.starts_at for row in rows] == [today - DAY_MS, today - 30 * DAY_MS]
    assert (rows[0].requests, rows[0].cost_nanos) == (1, 300)


def test_activity_of_one_key_is_not_anothers(database, caller):
    other = make_principal(database)
    answer(database, caller, now=NOW - DAY_MS)
    answer(database, other, now=NOW - DAY_MS)
    wanted = ActivityFilter(NOW, None, key_hash=caller.api_key_id)
    assert len(database.read_now(usage.list_activity, wanted)) == 1
    assert (
        len(database.read_now(usage.list_activity, ActivityFilter(NOW, None, by_workspace=True)))
        == 2
    )


def test_what_a_keys_own_accounts_were_charged_is_told_apart(database, caller):
    job = submit_and_claim(database, caller)
    ending = finished(job, cost=5)
    generation = ending.generation._replace(is_byok=True, byok_cost_nanos=100)
    record(database, dataclasses.replace(ending, generation=generation))
    found = database.read_now(usage.key_usage, [caller.api_key_id], NOW)[caller.api_key_id]
    assert (found.total, found.byok_total, found.byok_daily, found.byok_monthly) == (
        5,
        100,
        100,
        100,
    )


def test_what_a_key_used_by_period(database, caller):
    # NOW is a Friday, the 15th
    for days, cost in ((0, 1), (1, 10), (10, 100), (40, 1_000)):
        answer(database, caller, now=NOW - days * DAY_MS, cost=cost)
    found = database.read_now(usage.key_usage, [caller.api_key_id, "key_none"], NOW)
    assert found == {
        caller.api_key_id: KeyUsage(total=1_111, daily=1, weekly=11, monthly=111),
        "key_none": KeyUsage(),
    }


@pytest.mark.parametrize(
    ("reset", "now", "start", "end"),
    [
        (Reset.DAILY, "2027-03-01T00:00:00", "2027-03-01", "2027-03-02"),
        (Reset.WEEKLY, "2027-02-28T23:59:59", "2027-02-22", "2027-03-01"),  # a Sunday
        (Reset.WEEKLY, "2027-03-01T00:00:00", "2027-03-01", "2027-03-08"),  # a Monday
        (Reset.MONTHLY, "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        (Reset.MONTHLY, "2027-12-31T23:59:59", "2027-12-01", "2028-01-01"),
    ],
)
def test_when_periods_begin_and_end(reset, now, start, end):
    def ms(text):
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    assert (starts_at(reset, ms(now)), ends_at(reset, ms(now))) == (ms(start), ms(end))


@given(now=st.integers(0, 4 * 10**12), reset=st.sampled_from(Reset))
def test_a_moment_is_in_its_period(now, reset):
    end = ends_at(reset, now)
    assert starts_at(reset, now) <= now
    assert end is None or (now < end and starts_at(reset, end) == end)


def test_a_year_of_usage_answers_in_milliseconds(database, caller):
    # Given a year of 30 combinations a day, in days and months
    first = NOW - 365 * DAY_MS
    zeros = UsageCounts()._asdict()
    rows = [
        {
            "workspace_id": caller.workspace_id, "period": period,
            "starts_at": first + place * size,
            "api_key_id": f"key_{n % 3}", "model": f"m/{n % 10}", "provider": f"p{n}", "app": "",
            "end_user": "", **zeros, "requests": 1, "cost_nanos": 5,
        }
        for period, size, count in (("day", DAY_MS, 365), ("month", 30 * DAY_MS, 12))
        for place in range(count)
        for n in range(30)
    ]  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(ROLLUPS), rows)
    # When the whole year is asked for by day and model, and by month
    began = time.process_time()
    days = ask(database, "request_count", "total_usage", granularity="day", dimensions=["model"])
    months = ask(database, "request_count", granularity="month")
    took = time.process_time() - began
    # Then it takes milliseconds (far more are allowed here: other work is running)
    assert (len(days), len(months)) == (1_000, 12)
    assert took < 0.5
