"""Attachments of calls in flight take a worker's memory up to a bound, and no tenant all of it."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from broker.requests.operations import Operation
from broker.settings import Settings
from workers.media.fetching import MediaMemory
from workers.media.preparation import MAX_FETCHED_BYTES, most_fetched
from workers.native_batches.lines import estimate_bytes
from workers.native_batches.step import Step, StepTools

MOST = 100


class Calls:
    """Calls that hold their bytes until they are told to end."""

    def __init__(self, room: MediaMemory) -> None:
        self.room = room
        self.running: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, workspace: str, size: int) -> None:
        self._ends[name] = asyncio.Event()

        async def call() -> None:
            async with self.room.hold(workspace, size):
                self.running.append(name)
                await self._ends[name].wait()
            self.running.remove(name)

        self._tasks[name] = asyncio.create_task(call())
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await asyncio.sleep(0)


@pytest.fixture
def calls() -> Calls:
    return Calls(MediaMemory(MOST))


async def test_calls_wait_for_room_in_their_order(calls: Calls) -> None:
    for number in range(5):
        await calls.begin(f"a{number}", f"ws{number}", 40)
    assert calls.running == ["a0", "a1"]
    assert calls.room.held <= MOST
    await calls.end("a0")
    assert calls.running == ["a1", "a2"]
    await calls.cancel("a3")  # one that waits
    await calls.cancel("a1")  # one that runs
    assert "a4" in calls.running
    assert calls.room.held == 80


async def test_a_workspace_takes_half_and_another_finds_room(calls: Calls) -> None:
    for number in range(4):
        await calls.begin(f"large{number}", "greedy", 25)
    assert calls.running == ["large0", "large1"]
    await calls.begin("small", "other", 25)
    assert calls.running[-1] == "small"


async def test_what_is_larger_than_all_room_has_it_alone(calls: Calls) -> None:
    await calls.begin("huge", "a", 10 * MOST)
    await calls.begin("next", "b", 1)
    assert calls.running == ["huge"]
    await calls.end("huge")
    assert calls.running == ["next"]
    assert calls.room.held == 1


async def test_what_was_not_fetched_makes_room(calls: Calls) -> None:
    async with calls.room.hold("a", 90) as place:
        await calls.begin("next", "b", 50)
        assert calls.running == []
        place.shrink(10)
        await asyncio.sleep(0)
        assert calls.running == ["next"]
    assert calls.room.held == 50


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": " HTTP://example.com/a.png"},
        {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "https://example.com/a.mp3"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ],
)
def test_every_kind_of_url_is_counted_before_it_is_fetched(part: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [part, part]}]}
    assert most_fetched(body, 20) == 40
    assert most_fetched(body, MAX_FETCHED_BYTES) == MAX_FETCHED_BYTES
    assert most_fetched({"messages": [{"role": "user", "content": "https://a"}]}, 20) == 0


def _batch_step(room: MediaMemory) -> tuple[Step, list[str]]:
    """A step that submits a batch of one job with a body of 60 bytes, and what it has sent."""
    job = SimpleNamespace(id="job_1", request=b" " * 60, operation=Operation.EMBEDDINGS)
    sent: list[str] = []

    async def read(_function: object, _batch_id: str, after: str = "", *_: object) -> list[Any]:
        return [] if after else [SimpleNamespace(job=job)]

    async def send(jobs: Sequence[Any], _most: int) -> None:
        sent.extend(each.job.id for each in jobs)

    tools = StepTools(
        settings=Settings.model_construct(max_media_bytes=20),
        database=SimpleNamespace(read=read),
        routes={"up": SimpleNamespace(batches="openai")},
        http=None,
        attachments=SimpleNamespace(memory=room),
        booking=None,
    )
    step = Step(tools, SimpleNamespace(id="nb_1", provider="up", give_up_at=2**62))
    step._send = send
    return step, sent


async def test_the_lines_of_a_batch_at_a_provider_wait_for_room_too() -> None:
    room = MediaMemory(MOST)
    step, sent = _batch_step(room)
    async with room.hold("a", 60):
        waiting = asyncio.create_task(step._submit())
        for _ in range(20):
            await asyncio.sleep(0)
        assert sent == []
    await waiting
    assert sent == ["job_1"]
    assert room.held == 0


async def test_what_a_batchs_lines_may_fetch_is_counted() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    request = orjson.dumps({"messages": [{"role": "user", "content": [part]}]})
    jobs = [SimpleNamespace(job=SimpleNamespace(request=request, operation=Operation.CHAT))] * 3
    assert await estimate_bytes(jobs, largest=20, max_bytes=1000) == 3 * (len(request) + 20)
    assert await estimate_bytes(jobs, largest=20, max_bytes=50) == 3 * len(request) + 50
