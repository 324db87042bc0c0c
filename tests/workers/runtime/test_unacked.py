"""Sweeping after dead workers does not disturb a worker that waits for messages."""

import contextlib

import pytest
from kombu import Connection, Queue
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from workers.runtime import consumer
from workers.runtime.consumer import Consumer


def test_a_sweep_leaves_the_connection_alone_that_waits(valkey: str) -> None:
    transport = valkey.replace("unix://", "redis+socket://", 1)
    heard: list[object] = []
    with Connection(transport) as connection, connection.channel() as channel:
        queue = Queue("waybill.test.sweep", channel=channel)
        with connection.Consumer(
            queue,
            channel=channel,
            callbacks=[lambda body, message: heard.append(body)],
            no_ack=True,
        ):
            # Given a worker that waits for messages, and one that died
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=0.2)
            with Redis.from_url(valkey) as redis:
                redis.zadd(consumer.SEEN_KEY, {"con_dead": 1.0})
            # When it sweeps, again and again
            assert consumer.report_and_sweep(channel, "con_me", 1_000.0) == ["con_dead"]
            assert consumer.report_and_sweep(channel, "con_me", 1_001.0) == []
            # Then it hears every message
            with connection.clone() as sending:
                producer = sending.Producer()
                for number in range(3):
                    producer.publish({"number": number}, routing_key=queue.name)
            for _ in range(3):
                connection.drain_events(timeout=5)
    assert heard == [{"number": number} for number in range(3)]


def test_a_sweep_waits_for_a_redis_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> list[str]:
        raise RedisConnectionError("refused")

    class Waiting(Consumer):
        def __init__(self) -> None:
            self._sweep_at = 0.0
            self.task_consumer = type("Tasks", (), {"channel": None})()

        _transport = "redis"

    monkeypatch.setattr(consumer, "report_and_sweep", away)
    Waiting()._sweep_unacked()
