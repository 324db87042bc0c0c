"""Readers that do not read cost little memory, whatever is waiting for them."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from api.core import job_subscriptions
from api.core.job_subscriptions import JobSubscriptions
from api.jobs import streaming
from api.jobs.streaming import log_response
from broker.events import job_events
from broker.events.job_events import Event, EventWriter
from broker.events.stored_logs import LogPacker
from broker.jobs import reports
from broker.storage.tables import JobPayload, table

JOB = "job_1"
CHUNKS = 40_000
CHUNK = b'{"choices":[{"index":0,"delta":{"content":"%s"}}]}' % (b"a word " * 40)
READERS = 20
EACH = 1_500_000  # bytes that a reader may take; its log has 13 MB


class Database:
    """Answers about one job, as the database does."""

    def __init__(self, state: str, log: bytes | None) -> None:
        self.connection = create_engine("sqlite://", poolclass=StaticPool).connect()
        table(JobPayload).create(self.connection)
        row = {"job_id": JOB, "request": b"", "plan": b"", "events": log}
        self.connection.execute(table(JobPayload).insert().values(row))
        self.report = SimpleNamespace(
            job=SimpleNamespace(id=JOB, state=state, stream=True),
            payload=SimpleNamespace(has_log=log is not None),
        )

    async def read(self, function: Callable[..., object], *_: object) -> object:
        if function is reports.job:
            return self.report
        return [] if function is reports.settled else function(self.connection)


def told(first: int, last: int) -> list[Event]:
    return [Event(number, job_events.CHUNK, CHUNK) for number in range(first, last + 1)]


def read_once(news: JobSubscriptions) -> AsyncIterator[bytes]:
    """Return the body of a log's answer."""

    async def source() -> AsyncIterator[list[Event]]:
        with news.listen(JOB) as listener:
            async for page in news.follow(listener, "ws"):
                yield page

    return log_response(source(), JOB, keep_alive=60).body_iterator


@pytest.fixture
def stored_log() -> bytes:
    log = LogPacker()
    for first in range(1, CHUNKS, 100):
        log.add(told(first, first + 99))
    return log.pack([Event(CHUNKS + 1, "completed", b"{}")])


async def test_readers_of_a_large_stored_log_hold_a_page_each(stored_log: bytes) -> None:
    news = JobSubscriptions(SimpleNamespace(pubsub=lambda: None), Database("completed", stored_log))
    news._subscribe_soon = lambda _: None
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    readers = [read_once(news) for _ in range(READERS)]
    pieces = [await anext(reader) for reader in readers]
    grown = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert max(map(len, pieces)) <= streaming.SLICE_BYTES
    assert grown < READERS * EACH
    for reader in readers:
        await reader.aclose()


async def test_a_stored_log_is_read_to_its_end_in_order(stored_log: bytes) -> None:
    news = JobSubscriptions(SimpleNamespace(pubsub=lambda: None), Database("completed", stored_log))
    news._subscribe_soon = lambda _: None
    body = b"".join([piece async for piece in read_once(news)])
    numbers = [int(line[4:]) for line in body.split(b"\n") if line.startswith(b"id: ")]
    assert numbers == list(range(1, CHUNKS + 2))


async def test_what_a_reader_does_not_take_is_not_kept_for_it(redis: Redis) -> None:
    # Given a reader of a running stream that takes one event and then none
    database = Database("running", None)
    news = JobSubscriptions(redis, database)
    news.start()
    writer = EventWriter(redis, ttl_seconds=60)
    try:
        with news.listen(JOB) as listener:
            follower = news.follow(listener, "ws")
            channel = job_events.channel_of(JOB)
            async with asyncio.timeout(20):
                while dict(await redis.pubsub_numsub(channel))[channel.encode()] == 0:
                    await asyncio.sleep(0.01)
            writer.emit(JOB, told(1, 1), attempt=1)
            assert [event.number for event in await anext(follower)] == [1]
            for first in range(2, 4_000, 100):
                writer.emit(JOB, told(first, first + 99), attempt=1)
                await asyncio.sleep(0)
            await writer.close()
            assert listener._size <= job_subscriptions.INBOX_BYTES + len(CHUNK) * 300
            # Then it gets all of it all the same, once it reads on
            numbers: list[int] = []
            async with asyncio.timeout(20):
                while not numbers or numbers[-1] < 4_001:
                    numbers += [event.number for event in await anext(follower)]
            assert numbers == list(range(2, 4_002))
            await follower.aclose()
    finally:
        await news.close()


async def test_redis_keeps_the_latest_pages_of_a_running_stream_only(redis: Redis) -> None:
    writer = EventWriter(redis, ttl_seconds=60)
    writer.emit(JOB, told(1, 1_000), attempt=1, keep_from=0)
    await asyncio.sleep(0.1)
    writer.emit(JOB, told(1_001, 1_010), attempt=1, keep_from=900)
    await asyncio.sleep(0.1)
    kept = [event.number async for page in job_events.read_kept(redis, JOB) for event in page]
    assert kept[0] > 500
    assert kept[-1] == 1_010
    # and of an ended one its end
    writer.emit(JOB, [Event(1_011, "completed", b"{}")], attempt=1)
    await writer.close()
    kept = [event.number async for page in job_events.read_kept(redis, JOB) for event in page]
    assert kept == [1_011]
