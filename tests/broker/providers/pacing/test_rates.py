"""Calls and tokens per minute, counted in one step for all processes.

Who reads, then writes, lets twice as many pass (new-api#969); who counts alone, as many times more
as there are processes (bifrost#3547).
"""

import asyncio

from broker.providers.pacing import Busy, Cause, ProviderLimits
from broker.queues import Lane


async def test_no_minute_holds_more_calls_than_the_limit(start):
    # Given four processes and twenty calls a minute
    processes = start(4, ProviderLimits(requests_per_minute=20))
    # When each wants ten at once
    begun = await asyncio.gather(*[process.begin_many(10) for process in processes])
    # Then twenty begin, and the others learn when to come back
    assert sum(begun) == 20
    busy = await processes[0].begin()
    assert busy.cause is Cause.RATE_LIMIT


async def test_batch_jobs_are_spread_evenly_and_leave_a_share(start):
    # Given a provider that takes 600 calls a minute: ten a second
    [process] = start(1, ProviderLimits(requests_per_minute=600))
    # When batch jobs come all at once for three seconds
    loop = asyncio.get_running_loop()
    end, begun = loop.time() + 3, 0
    while loop.time() < end:
        begun += await process.begin_many(5, Lane.BATCH)
        await asyncio.sleep(0.02)
    # Then about ten a second began, in at most four different seconds
    assert 25 <= begun <= 40
    # And an interactive call goes at once
    assert await process.begin() is None


async def test_interactive_calls_may_use_what_batch_jobs_may_not(start):
    [process] = start(1, ProviderLimits(requests_per_minute=40))
    begun = 0
    for _ in range(60):
        begun += await process.begin_many(1, Lane.INTERACTIVE) if begun < 38 else 0
    assert begun == 38
    assert isinstance(await process.begin(Lane.BATCH), Busy)
    assert await process.begin_many(5) == 2


async def test_a_provider_paced_for_a_long_time_is_not_asked_again_and_again(start, redis):
    [process] = start(1, ProviderLimits(requests_per_minute=1))
    assert await process.begin() is None
    first = await process.begin()
    asked = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    # When many more come while it is known that there is no room for most of a minute
    refused = [await process.begin() for _ in range(100)]
    # Then nobody asks
    assert all(isinstance(busy, Busy) for busy in refused)
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= asked + 2
    assert 55_000 < first.until - refused[0].until + 60_000 < 65_000


async def test_tokens_are_counted_as_guessed_then_as_known(start):
    # Given 10,000 tokens a minute, and calls of which nothing is known: a thousand each
    [process] = start(1, ProviderLimits(tokens_per_minute=10_000))
    assert await process.begin_many(20) == 10
    # When three of them turn out to have used a tenth of that
    for permit in process.permits[:3]:
        process.pacer.recount(permit, 100)
    # Then there is room for two more
    process.pacer._gates["alpha"].blocked.clear()
    assert await process.begin_many(5) == 2


async def test_a_call_larger_than_the_whole_minute_is_sent_when_nothing_else_was(start):
    [process] = start(1, ProviderLimits(tokens_per_minute=500))
    assert await process.begin() is None
    assert isinstance(await process.begin(), Busy)
