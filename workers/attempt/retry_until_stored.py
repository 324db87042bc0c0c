"""Retry a write until it is stored or its lease has expired."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

RETRY_SECONDS = 0.5
OUT_OF_SERVICE = (OperationalError, RedisError, OSError)
"""Exceptions of a database, a Redis or a disk that is away or full."""

Result = TypeVar("Result")


async def retry_until_stored(
    write: Callable[[], Awaitable[Result]], error: type[Exception], *, seconds: float
) -> Result:
    """Return what `write` does; where it fails with `error`, it is tried again for so long.

    What is not written by then is another worker's to do again.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return await write()
        except error:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(RETRY_SECONDS)
