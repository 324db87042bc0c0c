"""A Valkey for tests that need a real one, on a socket of its own."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redis import Redis, RedisError

from broker.settings import Settings
from cli.start.valkey import valkey_command
from tests.installation import until


@contextlib.contextmanager
def running_valkey() -> Iterator[str]:
    """Start a Valkey; give its URL; stop it."""
    with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        settings = Settings(data_dir=Path(directory))
        server = subprocess.Popen(valkey_command(settings))
        try:
            with Redis.from_url(settings.redis) as redis:
                until(lambda: _answers(redis), 20, "Valkey does not answer")
            yield settings.redis
        finally:
            server.terminate()
            server.wait()


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
