"""How background tasks are ended."""

import asyncio
from collections.abc import Iterable
from typing import Any

HEARD_SECONDS = 0.2


async def end_tasks(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until each has ended.

    Once is not enough: redis-py loses a cancellation that arrives just as its answer does, and the
    loop that asked goes on as if nothing had been said.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=HEARD_SECONDS)
