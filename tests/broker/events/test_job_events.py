"""A streamed job's log on a real Valkey: one attempt at a time may write it."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from broker.events import job_events
from broker.events.job_events import Event, EventWriter

TTL = 600
JOB = "job_1"


def chunks(*numbers: int) -> list[Event]:
    return [Event(number, job_events.CHUNK, b'{"n":%d}' % number) for number in numbers]


async def listed(pages: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for page in pages for event in page]


async def test_a_worker_thought_dead_is_neither_kept_nor_heard(redis: Redis) -> None:
    # Given an attempt that has told three chunks, and a listener
    late, successor = EventWriter(redis, ttl_seconds=TTL), EventWriter(redis, ttl_seconds=TTL)
    late.emit(JOB, chunks(1, 2, 3), attempt=1)
    await late.close()
    async with redis.pubsub() as listener:
        await listener.subscribe(job_events.channel_of(JOB))
        await listener.get_message(timeout=5)
        # When another attempt takes the log over, and the first writes on, far above it
        past = await listed(job_events.take_over(redis, JOB, 2, ttl_seconds=TTL))
        zombie = EventWriter(redis, ttl_seconds=TTL)
        zombie.emit(JOB, chunks(4, 5, 6, 7), attempt=1)
        await zombie.close()
        successor.emit(JOB, chunks(4, 5), attempt=2)
        await successor.close()
        # Then only the successor's events were told and kept
        heard = await listener.get_message(timeout=5)
        assert job_events.decode(heard["data"]) == chunks(4, 5)
        assert await listener.get_message(timeout=0.2) is None
    assert past == chunks(1, 2, 3)
    assert await listed(job_events.read_kept(redis, JOB)) == chunks(1, 2, 3, 4, 5)


async def test_a_reader_that_comes_in_the_middle_of_an_entry_gets_the_rest(redis: Redis) -> None:
    writer = EventWriter(redis, ttl_seconds=TTL)
    writer.emit(JOB, chunks(1, 2, 3), attempt=1)
    writer.emit(JOB, chunks(4), attempt=1)
    await writer.close()
    assert await listed(job_events.read_kept(redis, JOB, after=2)) == chunks(3, 4)
    assert 0 < await redis.ttl(job_events.stream_key(JOB)) <= TTL


async def test_the_log_of_an_ended_job_leaves_redis_soon(redis: Redis) -> None:
    writer = EventWriter(redis, ttl_seconds=TTL)
    writer.emit(JOB, [*chunks(1), Event(2, "completed", b"{}")], attempt=1)
    await writer.close()
    assert 0 < await redis.ttl(job_events.stream_key(JOB)) <= job_events.ENDED_TTL_SECONDS


async def test_a_plain_jobs_events_are_told_and_not_kept(redis: Redis) -> None:
    async with redis.pubsub() as listener:
        await listener.subscribe(job_events.channel_of(JOB))
        await listener.get_message(timeout=5)
        writer = EventWriter(redis, ttl_seconds=TTL)
        writer.emit(JOB, chunks(1), attempt=None)
        await writer.close()
        assert job_events.decode((await listener.get_message(timeout=5))["data"]) == chunks(1)
    assert await listed(job_events.read_kept(redis, JOB)) == []


async def test_events_that_may_wait_are_sent_with_the_next(redis: Redis) -> None:
    async with redis.pubsub() as listener:
        await listener.subscribe(job_events.channel_of(JOB))
        await listener.get_message(timeout=5)
        writer = EventWriter(redis, ttl_seconds=TTL)
        # Given an event that may wait for a long time
        writer.emit(JOB, chunks(1), attempt=None, within=3600)
        # When one that does not wait follows
        writer.emit(JOB, chunks(2), attempt=None)
        # Then one message has both
        assert job_events.decode((await listener.get_message(timeout=5))["data"]) == chunks(1, 2)
        # And one that may wait for a moment is sent without another
        writer.emit(JOB, chunks(3), attempt=None, within=0.01)
        assert job_events.decode((await listener.get_message(timeout=5))["data"]) == chunks(3)
        await writer.close()
