"""The receive loop: capacity, errors, and the end."""

import asyncio

import pytest
from structlog.testing import capture_logs

from broker.transport import Message, TransportError
from broker.transport.messages import create_message
from workers.runtime import receiving
from workers.runtime.receiving import ReceiveLoop
from workers.runtime.task_log import TaskEnded, TaskLog, TaskStarted

QUEUE = "sim.interactive"
SECONDS = 5.0


class Receiver:
    """A receiver that is fed by the test."""

    def __init__(self) -> None:
        self.waiting: list[Message | Exception] = []
        self.limits: list[int] = []
        self.arrived = asyncio.Event()
        self.is_closed = False

    def feed(self, *items: Message | Exception) -> None:
        self.waiting += items
        self.arrived.set()

    async def receive(self, queues: list[str], limit: int, seconds: float) -> list[Message]:
        assert queues == [QUEUE]
        self.limits.append(limit)
        if not self.waiting:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), seconds)
            except TimeoutError:
                return []
        item = self.waiting.pop(0)
        if isinstance(item, Exception):
            raise item
        return [item]

    async def close(self) -> None:
        self.is_closed = True


class Work:
    """A handler whose messages end when the test says so."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Message] = asyncio.Queue()
        self.end = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.begun.put_nowait(message)
        await self.end.wait()

    async def next(self) -> Message:
        return await asyncio.wait_for(self.begun.get(), SECONDS)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(receiving, "RECEIVE_SECONDS", 0.02)
    monkeypatch.setattr(receiving, "RECONNECT_SECONDS", 0.01)


def message(*ids: str) -> Message:
    return create_message(QUEUE, ids)


def receive_loop(receiver, handle, capacity=100, tasks=None):
    tasks = TaskLog() if tasks is None else tasks
    return ReceiveLoop(receiver, lambda: [QUEUE], handle, capacity=capacity, tasks=tasks)


async def test_messages_run_side_by_side_and_are_logged():
    receiver, work, tasks = Receiver(), Work(), TaskLog()
    loop = receive_loop(receiver, work, tasks=tasks)
    loop.start()
    first, second = message("job_1"), message("job_2")
    receiver.feed(first, second)
    assert [await work.next(), await work.next()] == [first, second]
    assert [type(entry) for entry in tasks.take()] == [TaskStarted, TaskStarted]
    work.end.set()
    await asyncio.wait_for(loop.close(), SECONDS)
    ended = list(tasks.take())
    assert [type(entry) for entry in ended] == [TaskEnded, TaskEnded]
    assert {entry.message for entry in ended} == {first, second}


async def test_nothing_is_taken_beyond_the_capacity():
    receiver, work = Receiver(), Work()
    loop = receive_loop(receiver, work, capacity=2)
    loop.start()
    receiver.feed(message("job_1", "job_2"), message("job_3"))
    await work.next()
    await asyncio.sleep(0.05)
    assert len(receiver.waiting) == 1
    work.end.set()
    assert (await work.next()).ids == ("job_3",)
    await loop.close()


@pytest.mark.parametrize(
    ("error", "event"),
    [(TransportError("away"), "worker.transport_lost"), (KeyError(), "worker.receive_failed")],
)
async def test_it_receives_again_after_an_error(error, event):
    receiver, work = Receiver(), Work()
    loop = receive_loop(receiver, work)
    with capture_logs() as logs:
        loop.start()
        receiver.feed(error, message("job_1"))
        await work.next()
    work.end.set()
    await loop.close()
    assert [entry["event"] for entry in logs] == [event]


async def test_a_handler_that_fails_frees_its_room():
    receiver, begun = Receiver(), asyncio.Queue()

    async def fail(message: Message) -> None:
        begun.put_nowait(message)
        raise ZeroDivisionError

    loop = receive_loop(receiver, fail, capacity=1)
    with capture_logs() as logs:
        loop.start()
        receiver.feed(message("job_1"), message("job_2"))
        for _ in range(2):
            await asyncio.wait_for(begun.get(), SECONDS)
        await loop.close()
    assert [entry["event"] for entry in logs] == ["worker.message_failed"] * 2


async def test_the_end_waits_for_what_was_taken():
    receiver, work = Receiver(), Work()
    loop = receive_loop(receiver, work)
    loop.start()
    receiver.feed(message("job_1"))
    await work.next()
    closing = asyncio.create_task(loop.close())
    await asyncio.sleep(0.05)
    assert receiver.is_closed
    assert not closing.done()
    work.end.set()
    await asyncio.wait_for(closing, SECONDS)


async def test_queues_that_are_all_cancelled_are_not_received_from():
    receiver, work = Receiver(), Work()
    loop = ReceiveLoop(receiver, list, work, capacity=1, tasks=TaskLog())
    loop.start()
    await asyncio.sleep(0.05)
    await asyncio.wait_for(loop.close(), SECONDS)
    assert receiver.limits == []
