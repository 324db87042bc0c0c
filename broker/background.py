"""Background services: steps that run at an interval until they are stopped."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

CANCEL_AGAIN_SECONDS = 0.2
OUTAGES = (OSError, RedisError, SQLAlchemyError)
"""Errors of a database, a Redis or a disk that is away. They are logged without a traceback."""

log = structlog.get_logger()


class Service:
    """A step that runs again and again, with a pause of `interval` seconds after each run.

    A step that raises is logged as `service.failed`, and runs again after the pause. A service with
    `is_leader` runs its step only while that returns True; several processes may have the service,
    and one of them does its work.
    """

    def __init__(
        self,
        name: str,
        interval: float,
        step: Callable[[], Awaitable[object]],
        *,
        is_leader: Callable[[], Awaitable[bool]] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._interval = interval
        self._step = step
        self._is_leader = is_leader
        self._close = close
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run the step, at once for the first time. Call it on the running loop."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Cancel the step that is running, wait until it has ended, and call `close`."""
        if self._task is not None:
            await end_tasks([self._task])
        if self._close is not None:
            await self._close()

    async def _run(self) -> None:
        while True:
            try:
                if self._is_leader is None or await self._is_leader():
                    await self._step()
            except OUTAGES as error:
                log.warning("service.failed", service=self.name, error=str(error))
            except Exception:
                log.exception("service.failed", service=self.name)
            await self._sleep(self._interval)


async def stop_services(services: Iterable[Service]) -> None:
    """Stop services, all at the same time."""
    await asyncio.gather(*(service.stop() for service in services))


async def end_tasks(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until each has ended.

    One cancellation is not enough: redis-py loses one that arrives together with its answer, and
    the task continues.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
