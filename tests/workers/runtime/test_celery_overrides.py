"""The overrides of Celery's consumer and Kombu's channels, and the behaviour that needs them.

Each `test_celery_…` or `test_kombu_…` states behaviour of the library. When one fails after an
upgrade, the override that it belongs to may not be needed any more.
"""

import inspect
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection, Queue
from kombu.transport.redis import Channel
from redis import Redis

from workers.runtime import consumer
from workers.runtime.consumer import PREFETCH_PER_QUEUE, Consumer, abandon_messages, keys_of

QUEUE = "waybill.test.abandoned"


@pytest.fixture
def server(valkey: str) -> Iterator[Redis]:
    with Redis.from_url(valkey) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def connection(valkey: str, server: Redis) -> Iterator[Connection]:
    with Connection(valkey.replace("unix://", "redis+socket://", 1)) as connection:
        yield connection


def receive_one(connection: Connection, channel: Any) -> Any:
    """Publish a message and receive it without an acknowledgement."""
    received: list[Any] = []
    queue = Queue(QUEUE, channel=channel)
    with connection.clone() as sender:
        sender.Producer().publish({}, routing_key=QUEUE, declare=[Queue(QUEUE)])
    reader = connection.Consumer(
        queue, channel=channel, callbacks=[lambda _, m: received.append(m)]
    )
    reader.consume()
    connection.drain_events(timeout=5)
    [message] = received
    return message


def test_kombu_puts_messages_back_when_a_channel_closes(
    connection: Connection, server: Redis
) -> None:
    channel = connection.channel()
    receive_one(connection, channel)
    assert server.llen(QUEUE) == 0
    channel.close()
    assert server.llen(QUEUE) == 1


def test_abandoned_messages_are_not_put_back(connection: Connection, server: Redis) -> None:
    channel = connection.channel()
    receive_one(connection, channel)
    abandon_messages(channel)
    channel.close()
    assert server.llen(QUEUE) == 0


@pytest.mark.parametrize("answer", ["ack", "reject"])
def test_kombu_sends_acknowledgements_by_the_channel_of_the_message(
    connection: Connection, server: Redis, answer: str
) -> None:
    channel = connection.channel()
    message = receive_one(connection, channel)
    assert server.hlen("unacked") == 1
    getattr(message, answer)()
    assert server.hlen("unacked") == 0


@pytest.mark.parametrize("answer", ["ack", "reject"])
def test_abandoned_messages_are_not_acknowledged(
    connection: Connection, server: Redis, answer: str
) -> None:
    channel = connection.channel()
    message = receive_one(connection, channel)
    abandon_messages(channel)
    getattr(message, answer)()
    assert server.hlen("unacked") == 1


def test_kombu_keeps_the_unacknowledged_messages_of_all_workers_under_one_key() -> None:
    assert Channel.unacked_key == "unacked"
    assert len({*keys_of("con_1"), *keys_of("con_2")}) == 6


def test_celery_has_a_step_for_delayed_delivery() -> None:
    assert consumer.DELAYED_DELIVERY in CeleryConsumer.Blueprint.default_steps
    assert consumer.DELAYED_DELIVERY not in Consumer.Blueprint.default_steps


def test_celery_flushes_events_after_each_one() -> None:
    worker = mock.Mock()
    CeleryConsumer.on_send_event_buffered(worker)
    worker.hub.call_soon.assert_called_once()
    ours = mock.Mock()
    Consumer.on_send_event_buffered(ours)
    assert ours.hub.call_soon.mock_calls == []


def test_kombu_lengthens_its_pauses_between_connection_attempts() -> None:
    options = inspect.signature(Connection._ensure_connection).parameters
    assert options["interval_step"].default > 0
    assert options["interval_max"].default > 10 * consumer.RECONNECT_SECONDS


def test_pauses_between_connection_attempts_are_constant() -> None:
    connection = mock.Mock()
    assert Consumer.ensure_connected(mock.Mock(), connection) is connection
    options = connection.ensure_connection.call_args.kwargs
    assert options["interval_start"] == options["interval_max"] == consumer.RECONNECT_SECONDS
    assert options["interval_step"] == 0


@pytest.mark.parametrize(
    ("transport", "threads", "prefetch"),
    [("amqp", 1_000, PREFETCH_PER_QUEUE), ("amqp", 8, 8), ("redis", 1_000, 1_000)],
)
def test_the_prefetch_of_quorum_queues_is_bounded(
    monkeypatch: pytest.MonkeyPatch, transport: str, threads: int, prefetch: int
) -> None:
    class Starting(Consumer):  # type: ignore[misc]  # Celery has no types
        _transport = transport

        def __init__(self) -> None:
            self.initial_prefetch_count = threads
            self.connection = mock.Mock()
            self.app = mock.Mock()
            self.app.amqp.queues.consume_from = {}

    monkeypatch.setattr(CeleryConsumer, "update_strategies", lambda _: None)
    starting = Starting()
    starting.update_strategies()
    assert starting.initial_prefetch_count == prefetch


@pytest.mark.parametrize(
    "handler", ["on_connection_error_before_connected", "on_connection_error_after_connected"]
)
def test_a_transport_that_refuses_is_tried_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, handler: str
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(consumer.time, "sleep", pauses.append)
    monkeypatch.setattr(CeleryConsumer, "on_connection_error_after_connected", lambda *_: None)

    class Refused(Consumer):  # type: ignore[misc]  # Celery has no types
        def __init__(self) -> None:
            self.connection = mock.Mock()
            self.connection.transport.channels = []

    getattr(Refused(), handler)(OSError("refused"))
    assert pauses == [consumer.RECONNECT_SECONDS]
