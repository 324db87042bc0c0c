"""A Valkey of this session's own, empty for each test, and a clock that tests set."""

import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis as blocking
from redis.asyncio import Redis

from broker.settings import Settings
from cli.start.valkey import valkey_command

NOW = 1_800_000_000_000


@pytest.fixture(scope="session")
def valkey():
    with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        settings = Settings(data_dir=Path(directory))
        server = subprocess.Popen(valkey_command(settings))
        client = blocking.Redis.from_url(settings.redis)
        for _ in range(1000):
            try:
                client.ping()
                break
            except blocking.RedisError:
                time.sleep(0.02)
        yield client, settings.redis
        client.close()
        server.terminate()
        server.wait()


@pytest.fixture
async def redis(valkey):
    client, url = valkey
    client.flushall()
    redis = Redis.from_url(url)
    yield redis
    await redis.aclose()


class Clock:
    """Unix milliseconds that stand still until they are moved."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()
