"""Background services: interval, errors, leadership and stop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from broker.background import Service, end_tasks

TIMEOUT = 5.0


class Clock:
    """A replacement of `asyncio.sleep` whose pauses end when the test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._paused = asyncio.Event()
        self._continue = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._paused.set()
        await self._continue.wait()
        self._continue.clear()

    async def until_paused(self) -> None:
        """Wait until the service pauses after a step."""
        async with asyncio.timeout(TIMEOUT):
            await self._paused.wait()
        self._paused.clear()

    async def pass_interval(self) -> None:
        """End the pause, and wait for the next one."""
        self._continue.set()
        await self.until_paused()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


def make_service(
    clock: Clock,
    step: Callable[[], Awaitable[object]],
    is_leader: Callable[[], Awaitable[bool]] | None = None,
) -> Service:
    return Service("counting", 7.5, step, is_leader=is_leader, sleep=clock.sleep)


async def test_a_step_runs_at_once_and_after_each_interval(clock: Clock) -> None:
    runs: list[int] = []

    async def step() -> None:
        runs.append(len(clock.pauses))

    service = make_service(clock, step)
    service.start()
    await clock.until_paused()
    assert runs == [0]
    await clock.pass_interval()
    await clock.pass_interval()
    assert runs == [0, 1, 2]
    assert clock.pauses == [7.5] * 3
    await service.stop()


@pytest.mark.parametrize(
    ("error", "level", "has_traceback"),
    [
        (RedisError("away"), "warning", False),
        (OSError("away"), "warning", False),
        (ZeroDivisionError("away"), "error", True),
    ],
)
async def test_a_step_that_raises_is_logged_and_runs_again(
    clock: Clock, error: Exception, level: str, *, has_traceback: bool
) -> None:
    runs: list[int] = []

    async def step() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise error

    service = make_service(clock, step)
    with capture_logs() as logs:
        service.start()
        await clock.until_paused()
        await clock.pass_interval()
    assert runs == [0, 1]
    [entry] = logs
    assert (entry["event"], entry["service"]) == ("service.failed", "counting")
    assert entry["log_level"] == level
    assert bool(entry.get("exc_info")) is has_traceback
    await service.stop()


async def test_the_step_runs_only_while_this_process_is_the_leader(clock: Clock) -> None:
    terms = [False, True, False, True]
    led: list[int] = []

    async def is_leader() -> bool:
        return terms[len(clock.pauses)]

    async def step() -> None:
        led.append(len(clock.pauses))

    service = make_service(clock, step, is_leader)
    service.start()
    await clock.until_paused()
    for _ in terms[1:]:
        await clock.pass_interval()
    assert led == [1, 3]
    await service.stop()


async def test_an_election_that_fails_does_not_end_the_service(clock: Clock) -> None:
    runs: list[int] = []

    async def is_leader() -> bool:
        if not clock.pauses:
            raise RedisError("away")
        return True

    async def step() -> None:
        runs.append(len(clock.pauses))

    service = make_service(clock, step, is_leader)
    service.start()
    await clock.until_paused()
    await clock.pass_interval()
    assert runs == [1]
    await service.stop()


async def test_stop_cancels_the_running_step(clock: Clock) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    service = make_service(clock, step)
    service.start()
    async with asyncio.timeout(TIMEOUT):
        await began.wait()
        await service.stop()
    assert ended.is_set()
    assert clock.pauses == []


async def test_stop_closes_a_service_after_its_step(clock: Clock) -> None:
    order: list[str] = []

    async def step() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("step")

    async def close() -> None:
        order.append("close")

    service = Service("counting", 7.5, step, close=close, sleep=clock.sleep)
    service.start()
    await asyncio.sleep(0)
    await service.stop()
    assert order == ["step", "close"]


async def test_stop_before_start_does_nothing(clock: Clock) -> None:
    runs: list[int] = []

    async def step() -> None:
        runs.append(1)

    await make_service(clock, step).stop()
    assert runs == []


async def test_a_task_that_loses_its_first_cancellation_is_cancelled_again() -> None:
    began, lost = asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(deaf())
    async with asyncio.timeout(TIMEOUT):
        await began.wait()
        await end_tasks([task])
    assert lost.is_set()
    assert task.cancelled()
