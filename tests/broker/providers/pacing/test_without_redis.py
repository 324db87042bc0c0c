"""Frozen or absent Redis never hangs a call (litellm#3400)."""

import asyncio

from redis.asyncio import Redis

from broker.providers.pacing import Busy, Pacer, ProviderLimits
from broker.queues import Lane


async def frozen(reader, writer):
    await asyncio.sleep(3600)


async def asked(url, limits, calls):
    """Ask for calls at once; return how many may begin and how long the answer took."""
    redis = Redis.from_url(url)
    pacer = Pacer(redis, "worker", {"alpha": limits}, max_calls=1_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    got = await asyncio.gather(*[pacer.acquire("alpha", Lane.INTERACTIVE) for _ in range(calls)])
    seconds = loop.time() - began
    pacer._task.cancel()
    await redis.aclose()
    return sum(not isinstance(each, Busy) for each in got), seconds


async def test_a_frozen_redis_delays_calls_by_a_moment_and_bounds_still_hold():
    server = await asyncio.start_server(frozen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    begun, seconds = await asked(
        f"redis://127.0.0.1:{port}", ProviderLimits(max_concurrency=10), 30
    )
    assert begun == 10
    assert seconds < 2
    server.close()


async def test_calls_go_on_when_nobody_listens():
    begun, seconds = await asked("redis://127.0.0.1:1", ProviderLimits(max_concurrency=5), 8)
    assert begun == 5
    assert seconds < 2


async def test_a_rate_is_kept_by_each_process_alone_meanwhile():
    limits = ProviderLimits(requests_per_minute=120)
    begun, _ = await asked("redis://127.0.0.1:1", limits, 30)
    assert 2 <= begun <= 4
