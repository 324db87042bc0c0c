"""A provider's slots are shared by all processes.

Who finds none waits rather than fails (litellm#1152), N processes have not N times as many
(bifrost#3547), and taking one is one step (new-api#969).
"""

import asyncio

from broker.providers.pacing import Busy, Cause, ProviderLimits, shared
from broker.queues import Lane

TEN = ProviderLimits(max_concurrency=10)


async def test_four_processes_together_hold_no_more_than_the_limit(start):
    # Given four processes that all want the ten slots at once
    processes = start(4, TEN)
    # When each begins ten calls
    begun = await asyncio.gather(*[process.begin_many(10) for process in processes])
    # Then ten calls are under way, not forty
    assert sum(begun) == 10


async def test_a_slot_that_is_given_back_is_somebody_elses_within_moments(start):
    one, other = start(2, TEN)
    assert await one.begin_many(10) == 10
    # Given a call of another process that finds no slot
    waiting = asyncio.create_task(other.begin())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    # When a slot is given back
    one.end_one()
    # Then the waiting call begins, long before its half second is over
    assert await asyncio.wait_for(waiting, 0.3) is None


async def test_who_finds_no_slot_is_sent_away_and_not_kept_waiting(start):
    one, other = start(2, TEN)
    await one.begin_many(10)
    busy = await asyncio.wait_for(other.begin(), 2)
    assert isinstance(busy, Busy)
    assert busy.cause is Cause.CONCURRENCY


async def test_what_a_killed_process_held_comes_back(start, redis, monkeypatch):
    # Given a process that holds all slots and is killed
    monkeypatch.setattr(shared, "LEASE_MS", 300)
    one, other = start(2, TEN)
    await one.begin_many(10)
    one.die()
    assert isinstance(await other.begin(), Busy | None)
    # When its lease is over
    await asyncio.sleep(0.3)
    # Then the slots are free
    assert await other.begin_many(9) == 9


async def test_a_living_process_keeps_its_slots_without_new_calls(start, monkeypatch):
    # Given a process whose calls take long, and that says so again and again
    monkeypatch.setattr(shared, "LEASE_MS", 2_500)
    one, other = start(2, TEN)
    await one.begin_many(10)
    # When more than its lease has passed
    await asyncio.sleep(3)
    # Then its slots are still its own
    assert isinstance(await other.begin(), Busy)


async def test_batch_jobs_leave_slots_to_interactive_ones(start):
    [process] = start(1, TEN)
    assert await process.begin_many(20, Lane.BATCH) == 9
    assert await process.begin() is None


async def test_interactive_jobs_that_wait_come_before_batch_jobs(start):
    # Given full slots, an interactive job that waits in one process and a batch job in another
    one, other = start(2, TEN)
    await one.begin_many(10)
    batch = asyncio.create_task(other.begin(Lane.BATCH))
    interactive = asyncio.create_task(one.begin())
    await asyncio.sleep(0.1)
    # When two slots are given back
    one.end_one()
    one.end_one()
    # Then the interactive one begins, and the batch job does not
    assert await interactive is None
    assert isinstance(await batch, Busy)


async def test_a_process_takes_no_more_than_its_own_bound(start):
    [small] = start(1, ProviderLimits(max_concurrency=100), max_calls=5)
    assert await small.begin_many(20) == 5


async def test_a_caller_that_gives_up_waiting_leaves_no_slot_taken(start):
    one, other = start(2, TEN)
    await one.begin_many(10)
    waiting = asyncio.create_task(other.begin())
    await asyncio.sleep(0.05)
    waiting.cancel()
    one.end_one()
    assert await one.begin() is None


async def test_memory_is_bounded_and_is_given_back(start, redis):
    [process] = start(1, ProviderLimits(max_concurrency=10, requests_per_minute=6_000))
    for _ in range(50):
        await process.begin_many(10)
        while process.permits:
            process.end_one()
    keys = await redis.keys("waybill:pacing:*")
    assert len(keys) <= 3
    assert await redis.hlen("waybill:pacing:{alpha}") <= 3 + 2 * 61
    assert all([await redis.ttl(key) > 0 for key in keys])


async def asked(redis):
    return (await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]


async def test_most_calls_of_a_large_provider_begin_without_asking(start, redis):
    # Given a provider of many slots, and calls that come one after the other
    [process] = start(1, ProviderLimits(max_concurrency=200))
    await process.begin()
    before = await asked(redis)
    # When a hundred are made
    for _ in range(100):
        assert await process.begin() is None
        process.end_one()
    # Then hardly any had to ask
    assert await asked(redis) - before <= 3


async def test_slots_kept_ready_are_never_more_than_the_limit_allows(start):
    processes = start(4, ProviderLimits(max_concurrency=200))
    for _ in range(2):
        begun = await asyncio.gather(*[process.begin_many(20) for process in processes])
    assert sum(begun) == 80
    begun = [await process.begin_many(50) for process in processes for _ in range(2)]
    assert sum(len(process.permits) for process in processes) <= 200


async def test_slots_kept_ready_come_back_when_they_are_not_used(start):
    idle, busy = start(2, ProviderLimits(max_concurrency=100))
    await idle.begin()
    idle.end_one()
    await asyncio.sleep(2.5)
    assert await busy.begin_many(100) == 100
