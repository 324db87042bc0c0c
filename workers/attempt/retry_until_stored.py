"""Retry a write until it is stored or its lease has expired."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

RETRY_SECONDS = 0.5
OUT_OF_SERVICE = (OperationalError, RedisError, OSError)
"""Exceptions of a database, a Redis or a disk that does not answer or is full."""

Result = TypeVar("Result")


async def retry_until_stored(
    write: Callable[[], Awaitable[Result]], error: type[Exception], *, seconds: float
) -> Result:
    """Return the result of `write`, which is tried again for `seconds` while it raises `error`.

    After that the error is raised, and another worker repeats the work.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return await write()
        except error:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(RETRY_SECONDS)
