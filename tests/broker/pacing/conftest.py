"""A Valkey of these tests' own, and pacers that stand for worker processes."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.pacing import Busy, Limits, Pacer
from broker.queues import Lane
from broker.settings import Settings
from cli.start.valkey import valkey_command
from tests.house import until


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a running Valkey."""
    with TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        settings = Settings(data_dir=Path(directory))
        server = subprocess.Popen(valkey_command(settings))
        until(lambda: _answers(settings.redis), 20, "Valkey does not answer")
        yield settings.redis
        server.terminate()
        server.wait(10)


def _answers(url: str) -> bool:
    try:
        with SyncRedis.from_url(url) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False


@pytest.fixture
async def redis(valkey):
    redis = Redis.from_url(valkey)
    await redis.flushall()
    yield redis
    await redis.aclose()


class Process:
    """A worker process as its provider sees it: calls that begin and end."""

    def __init__(self, redis: Redis, name: str, limits: Limits, most: int = 1_000) -> None:
        self.pacer = Pacer(redis, name, {"alpha": limits}, most=most)
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
