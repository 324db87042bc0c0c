"""Pacers that stand for worker processes."""

import asyncio

import pytest
from redis.asyncio import Redis

from broker.providers.pacing import Busy, Pacer, ProviderLimits
from broker.queues import Lane


class Process:
    """A worker process as its provider sees it: calls that begin and end."""

    def __init__(
        self, redis: Redis, name: str, limits: ProviderLimits, max_calls: int = 1_000
    ) -> None:
        self.pacer = Pacer(redis, name, {"alpha": limits}, max_calls=max_calls)
        self.permits = []

    async def begin(self, lane: Lane = Lane.INTERACTIVE) -> Busy | None:
        """Begin a call; return what stood in its way."""
        got = await self.pacer.acquire("alpha", lane)
        if isinstance(got, Busy):
            return got
        self.permits.append(got)
        return None

    async def begin_many(self, calls: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Begin as many of `calls` calls as may begin; return how many did."""
        refusals = await asyncio.gather(*[self.begin(lane) for _ in range(calls)])
        return refusals.count(None)

    def end_one(self) -> None:
        self.pacer.release(self.permits.pop())

    def die(self) -> None:
        """End as by kill -9: nobody says goodbye."""
        self.pacer._task.cancel()


@pytest.fixture
async def start(redis):
    """Start processes that share the limits of one provider."""
    started = []

    def starting(count, limits, **more):
        made = [Process(redis, f"worker-{len(started) + n}", limits, **more) for n in range(count)]
        started.extend(made)
        return made

    yield starting
    for process in started:
        process.die()
