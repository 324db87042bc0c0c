"""Limits on a real Valkey, and the same limits in one process: they must agree."""

import asyncio
import random

import pytest
from redis.asyncio import Redis

from broker.rate_limits import Limiter, LimitKind, RateLimit, RateLimitRefusal, connect, error_of
from broker.rate_limits.limiter import LocalLimits, SharedLimits
from broker.rate_limits.rules import DAY_MS
from tests.factories import NOW, cancel, submit


@pytest.fixture
async def redis(valkey):
    async with connect(valkey) as redis:
        await redis.flushall()
        yield redis


def rate(most, name="key_1"):
    return RateLimit(LimitKind.RATE, name, most, "the key's limit")


def at_a_time(most, name="key_1"):
    return RateLimit(LimitKind.OPEN, name, most, "the key's limit")


def a_day(most, name="free:ws_1"):
    return RateLimit(LimitKind.DAY, name, most, "the workspace's limit of free models")


async def test_of_many_at_once_from_many_processes_exactly_the_limit_passes(redis):
    # Given four sides that share nothing but Redis
    sides = [SharedLimits(redis) for _ in range(4)]
    # When they ask two hundred times at once
    asked = [
        sides[number % 4].take([rate(100)], f"job_{number}", NOW + number % 7)
        for number in range(200)
    ]
    passed = [refusal for refusal in await asyncio.gather(*asked) if refusal is None]
    assert len(passed) == 100


async def test_a_refused_request_counts_against_none_of_its_limits(redis):
    shared, narrow, wide = SharedLimits(redis), rate(1), rate(9, "ws_1")
    assert await shared.take([wide, narrow], "job_1", NOW) is None
    for number in range(2, 9):
        refusal = await shared.take([wide, narrow], f"job_{number}", NOW)
        assert refusal.limit is narrow
    assert await shared.count(wide, NOW) == 1


async def test_all_limits_of_a_request_are_one_round_trip(redis, monkeypatch):
    shared = SharedLimits(redis)
    await shared.take([rate(9)], "warm", NOW)  # the script is loaded
    sent = []
    send = redis.execute_command

    async def spy(*arguments, **options):
        sent.append(arguments[0])
        return await send(*arguments, **options)

    monkeypatch.setattr(redis, "execute_command", spy)
    await shared.take([rate(9), at_a_time(9), rate(9, "ws_1"), a_day(9)], "job_1", NOW)
    assert sent == ["EVALSHA"]


@pytest.mark.parametrize("pace", [700, 1_500, 2_900])
async def test_no_window_of_a_minute_holds_more_than_the_limit(redis, pace):
    shared = SharedLimits(redis)
    passed = [
        at
        for at in range(NOW, NOW + 150_000, pace)
        if await shared.take([rate(20)], f"job_{at}", at) is None
    ]
    assert len(passed) > 40
    for start in passed:
        assert len([at for at in passed if start <= at < start + 60_000]) <= 20


async def test_a_day_begins_at_midnight_utc(redis):
    shared, midnight = SharedLimits(redis), (NOW // DAY_MS + 1) * DAY_MS
    assert await shared.take([a_day(1)], "job_1", midnight - 1) is None
    refusal = await shared.take([a_day(1)], "job_2", midnight - 1)
    assert refusal.resets_at == midnight
    assert await shared.take([a_day(1)], "job_2", midnight) is None


async def test_what_is_given_back_makes_room(redis):
    shared = SharedLimits(redis)
    await shared.take([rate(1), a_day(1)], "job_1", NOW)
    await shared.give_back([rate(1), a_day(1)], "job_1", NOW)
    assert await shared.take([rate(1), a_day(1)], "job_2", NOW) is None


@pytest.mark.parametrize("seed", range(4))
async def test_the_script_and_the_local_rule_decide_alike(redis, seed):
    dice = random.Random(seed)
    shared, local = SharedLimits(redis), LocalLimits()
    pool = [rate(2), rate(5, "ws_1"), at_a_time(6), a_day(25)]
    now = NOW
    taken = []
    for number in range(150):
        now += dice.choice((0, 1, 900, 20_000, 59_999, 60_000))
        limits = dice.sample(pool, dice.randint(1, 4))
        answers = [await kept.take(limits, f"job_{number}", now) for kept in (shared, local)]
        assert answers[0] == answers[1]
        if answers[0] is None:
            taken.append((limits, f"job_{number}", now))
        elif taken and dice.random() < 0.5:
            gone = taken.pop(dice.randrange(len(taken)))
            for kept in (shared, local):
                await kept.give_back(*gone)


async def test_ended_jobs_make_room_and_open_ones_do_not(redis, database, caller):
    # Given a limit of two, and two jobs that took it
    limiter, limit = Limiter(redis, database), at_a_time(2, caller.api_key_id)
    ids = [submit(database, caller) for _ in range(2)]
    for job_id in ids:
        assert await limiter.take([limit], job_id, NOW) is None
    # Then a third finds no room
    assert (await limiter.take([limit], "job_3", NOW)).limit is limit
    # And finds some once one has ended, though nobody said so
    cancel(database, ids[0], caller.workspace_id)
    assert await limiter.take([limit], "job_3", NOW) is None


async def test_a_place_taken_by_a_process_that_died_before_writing_comes_free(redis, database):
    limiter, limit = Limiter(redis, database), at_a_time(1)
    assert await limiter.take([limit], "job_never_written", NOW) is None
    assert await limiter.take([limit], "job_2", NOW + 59_000) is not None
    assert await limiter.take([limit], "job_2", NOW + 61_000) is None


async def test_while_redis_is_away_each_process_holds_the_limit_by_itself(database):
    limiter = Limiter(Redis.from_url("unix:///nowhere.sock"), database)
    answers = [await limiter.take([rate(3)], f"job_{number}", NOW) for number in range(5)]
    assert [answer is None for answer in answers] == [True, True, True, False, False]


async def test_what_a_process_let_in_counts_there_after_redis_has_gone(redis, database):
    limiter = Limiter(redis, database)
    for number in range(2):
        assert await limiter.take([rate(3)], f"job_{number}", NOW) is None
    limiter._away_until = float("inf")
    answers = [await limiter.take([rate(3)], f"job_{number}", NOW) for number in range(2, 4)]
    assert [answer is None for answer in answers] == [True, False]


async def test_a_frozen_redis_holds_nobody_up_for_long(database):
    async def silent(_reader, writer):
        await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    limiter = Limiter(Redis(port=port), database)
    async with asyncio.timeout(8):  # it is asked once, for two seconds
        for number in range(20):
            await limiter.take([rate(100)], f"job_{number}", NOW)
    server.close()


def test_a_refusal_says_when_to_come_again_and_never_too_early():
    error = error_of(RateLimitRefusal(rate(20), NOW + 1_001), NOW)
    assert error.status == 429
    assert error.headers == {
        "Retry-After": "2",
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(NOW + 1_001),
    }
