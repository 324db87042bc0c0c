"""The one pub/sub connection of an API process: what is published reaches whoever listens."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.core.job_subscriptions import JobSubscriptions, Listener
from broker.events import job_events
from broker.events.job_events import Event

TOLD = [Event(1, "started", b"{}")]


class Database:
    """Knows of no job that has ended."""

    async def read(self, *_: object) -> list[str]:
        return []


@pytest.fixture
async def news(redis: Redis, valkey: str) -> AsyncIterator[JobSubscriptions]:
    """News on a client that has no connection yet, as when an API process starts."""
    client = Redis.from_url(valkey)
    news = JobSubscriptions(client, Database())
    yield news
    await news.close()
    await client.aclose()


async def heard(redis: Redis, job_id: str, listener: Listener) -> list[Event]:
    """Publish until somebody is subscribed; return the events that the listener hears."""
    async with asyncio.timeout(10):
        while not await redis.publish(job_events.channel_of(job_id), job_events.encode(TOLD)):
            await asyncio.sleep(0.01)
        while (told := await listener.next()) is None:
            pass
    return told


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 10, 15, 20, 30])
async def test_who_listens_while_it_connects_hears(
    redis: Redis, news: JobSubscriptions, turns: int
) -> None:
    news.start()
    for _ in range(turns):
        await asyncio.sleep(0)
    with news.listen("job_1") as listener:
        assert await heard(redis, "job_1", listener) == TOLD
    with news.listen("job_2") as listener:
        assert await heard(redis, "job_2", listener) == TOLD


async def test_a_lost_connection_is_replaced(redis: Redis, news: JobSubscriptions) -> None:
    news.start()
    with news.listen("job_1") as before:
        assert await heard(redis, "job_1", before) == TOLD
        # When the connection is lost, and somebody comes before there is another one
        await redis.client_kill_filter(_type="pubsub")
        with news.listen("job_2") as meanwhile:
            # Then both look for what they missed, and hear what is told from now on
            async with asyncio.timeout(10):
                assert await before.next() is None
                assert await meanwhile.next() is None
            assert await heard(redis, "job_1", before) == TOLD
            assert await heard(redis, "job_2", meanwhile) == TOLD
        with news.listen("job_3") as after:
            assert await heard(redis, "job_3", after) == TOLD


async def test_who_listens_before_redis_answers_hears(
    redis: Redis, news: JobSubscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that refuses connections at first
    refused = asyncio.Event()
    connect = type(news._redis.connection_pool).get_connection

    async def refuse(self: object, *_: object, **__: object) -> object:
        refused.set()
        monkeypatch.setattr(type(self), "get_connection", connect)
        raise ConnectionError

    monkeypatch.setattr(type(news._redis.connection_pool), "get_connection", refuse)
    news.start()
    with news.listen("job_1") as listener:
        await refused.wait()
        assert await heard(redis, "job_1", listener) == TOLD


async def test_who_listened_before_the_submission_reads_no_state(
    redis: Redis, news: JobSubscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a listener that is held by a reader after the submission's own block has ended
    async def refuse(*_: object) -> None:
        raise AssertionError("the database was read")

    news.start()
    with news.listen("job_1") as listener:
        assert await heard(redis, "job_1", listener) == TOLD
        monkeypatch.setattr(news._database, "read", refuse)
        reader = news.follow_job("job_1", "ws_1", listener=listener)
        first = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
    # When the job's events come
    await redis.publish(job_events.channel_of("job_1"), job_events.encode(TOLD))
    assert await asyncio.wait_for(first, 10) == TOLD
    end = [Event(2, "completed", b"{}")]
    await redis.publish(job_events.channel_of("job_1"), job_events.encode(end))
    # Then they are all that the reader needs
    async with asyncio.timeout(10):
        assert [events async for events in reader] == [end]
    assert not news._listeners
