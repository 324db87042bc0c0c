"""A reader never joins two attempts of a stream, whatever happens to Redis and to workers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from api.core import job_subscriptions
from api.core.job_subscriptions import JobSubscriptions
from api.jobs.streaming import ChunkStream
from broker.background import end_tasks
from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import Event, EventWriter
from broker.events.stored_logs import StoredLog
from broker.jobs import reports
from broker.lifecycle.retries import Retry
from broker.storage.tables import JobPayload, table
from tests.e2e.sse import frames
from workers.attempt.events import AttemptEvents

ENDPOINT = SimpleNamespace(provider="up", model="acme/small")
STEPS = ("write", "flush", "lose", "fail", "late", "join", "leave", "rest")


@dataclass
class Reader:
    """A reader of the log that comes back from where it left."""

    told: list[Event] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def come(self, source: AsyncIterator[list[Event]]) -> None:
        async def read() -> None:
            async for new in source:
                self.told += new

        self.task = asyncio.create_task(read())

    async def leave(self) -> None:
        if self.task is not None:
            await end_tasks({self.task})
        self.task = None


class Scene:
    """One streamed job on a real Valkey, with the attempts that wrote its log."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.job = SimpleNamespace(id="job_1", state=JobState.RUNNING.value, stream=True)
        self.payload = SimpleNamespace(has_log=False)
        self.connection = create_engine("sqlite://", poolclass=StaticPool).connect()
        table(JobPayload).create(self.connection)
        self.news = JobSubscriptions(redis, self)  # type: ignore[arg-type]  # asks for reports alone
        self.writers: list[EventWriter] = []
        self.stories: list[AttemptEvents] = []
        self.late: AttemptEvents | None = None  # of the last attempt that never told its end
        self.readers: list[Reader] = []
        self.written = 0

    async def read(self, function: Callable[..., object], *_: object) -> object:
        """Answer as the database does."""
        if function is reports.settled:
            return ["job_1"] if self.job.state == JobState.COMPLETED else []
        if function is reports.job:
            return SimpleNamespace(job=self.job, payload=self.payload)
        return function(self.connection)

    async def claim(self) -> None:
        """Begin another attempt, in another worker."""
        number = len(self.stories) + 1
        job = SimpleNamespace(
            id="job_1", attempt=number, stream=True, endpoint=ENDPOINT, queued_ms=0
        )
        self.writers.append(EventWriter(self.redis, ttl_seconds=60))
        self.stories.append(await AttemptEvents.open(job, self.writers[-1], self.redis))

    def write(self, story: AttemptEvents) -> None:
        self.written += 1
        attempt = self.stories.index(story) + 1
        delta = {"content": f"<{attempt}.{self.written}>"}
        story.chunk({"choices": [{"index": 0, "delta": delta}]})

    async def fail(self) -> None:
        failure = Failure(AttemptOutcome.INTERRUPTED, ErrorType.SERVER, "gone")
        self.stories[-1].retrying(failure, Retry(0), ENDPOINT)
        self.stories[-1].publish_pending()
        await self.claim()

    def source(self, after: int) -> AsyncIterator[list[Event]]:
        async def told() -> AsyncIterator[list[Event]]:
            with self.news.listen("job_1") as listener:
                async for new in self.news.follow(listener, "ws", after=after):
                    yield new

        return told()

    def join(self) -> None:
        self.readers.append(Reader())
        self.readers[-1].come(self.source(0))

    async def come_back(self) -> None:
        for reader in self.readers:
            await reader.leave()
            reader.come(self.source(reader.told[-1].number if reader.told else 0))

    async def play(self, step: str) -> None:
        match step:
            case "write":
                self.write(self.stories[-1])
            case "flush":
                await self.redis.flushall()
            case "lose":
                self.late = self.stories[-1]
                await self.claim()
            case "fail":
                await self.fail()
            case "late" if self.late is not None:  # a worker that was thought dead
                self.write(self.late)
            case "join":
                self.join()
            case "leave":
                await self.come_back()
            case "rest":
                await asyncio.sleep(0.003)

    async def end(self) -> None:
        story = self.stories[-1]
        self.write(story)
        story.end("completed", {})
        row = {"job_id": "job_1", "request": b"", "plan": b"", "events": story.pack()}
        self.connection.execute(table(JobPayload).insert().values(row))
        self.payload.has_log = True
        self.job.state = JobState.COMPLETED.value
        story.publish_pending()

    async def close(self) -> None:
        for reader in self.readers:
            await reader.leave()
        for writer in self.writers:
            await writer.close()
        await self.news.close()


def text_of(chunks: list[Event]) -> str:
    return "".join(orjson.loads(c.data)["choices"][0]["delta"]["content"] for c in chunks)


def answer_of(told: list[Event]) -> str:
    """Return what a reader of the log holds for the answer: it starts anew at `retrying`."""
    kept: list[Event] = []
    for event in told:
        if event.type == job_events.RETRYING:
            kept = []
        elif event.type == job_events.CHUNK:
            kept.append(event)
    return text_of(kept)


def check_chat(batches: list[list[Event]], stored: str) -> None:
    """Check what a chat stream shows of these events: one attempt, and an error unless whole."""
    stream = ChunkStream("job_1", "acme/small", created=1)
    shown = frames(b"".join(stream.render(batch) for batch in batches).decode())
    assert stream.ended
    parts = [frame.json for frame in shown[:-1]]
    text = "".join(part["choices"][0]["delta"]["content"] for part in parts)
    assert len({piece.split(".")[0] for piece in text.split("<")[1:]}) <= 1, text
    assert "error" in parts[-1] or text == stored


@pytest.fixture(autouse=True, scope="module")
def frequent_looks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_subscriptions, "CHECK_SECONDS", 0.02)
        yield


@pytest.mark.parametrize("after_flush", ["lose", "fail"])
async def test_a_log_lost_between_two_attempts(valkey: str, after_flush: str) -> None:
    steps = ["join", "write", "write", "rest", "flush", after_flush, "rest", "leave", "write"]
    await _played(valkey, steps)


@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
@settings(max_examples=60, deadline=None)
async def test_no_reader_joins_two_attempts(valkey: str, steps: list[str]) -> None:
    await _played(valkey, steps)


async def _played(valkey: str, steps: list[str]) -> None:
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
        scene = Scene(redis)
        scene.news.start()
        try:
            await scene.claim()
            for step in steps:
                await scene.play(step)
            scene.join()
            await scene.end()
            async with asyncio.timeout(10):
                await asyncio.gather(*(r.task for r in scene.readers if r.task is not None))
            log, stored_log = [], StoredLog("job_1")
            while page := stored_log.page(scene.connection):
                log += page
            stored = answer_of(log)
            for reader in scene.readers:
                assert answer_of(reader.told) == stored
                numbers = [event.number for event in reader.told]
                assert numbers == sorted(set(numbers))
                check_chat([[event] for event in reader.told], stored)
                check_chat([reader.told], stored)
        finally:
            await scene.close()
