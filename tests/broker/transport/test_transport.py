"""Sending and receiving, with a real Valkey or Redis and a real RabbitMQ, and with Celery."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from celery import Celery
from kombu import Connection
from structlog.testing import capture_logs

from broker.queues import RUN_JOBS_TASK
from broker.transport import (
    Message,
    TransportError,
    check,
    open_receiver,
    open_sender,
    redis_transport,
)
from broker.transport.messages import create_message
from broker.transport.opening import Receiver, Sender
from tests import stacks

SECONDS = 10.0
NOW = 0.05  # for what must not arrive


@pytest.fixture(scope="module", params=["redis", "amqp"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "redis":
        valkey = request.getfixturevalue("valkey")
        yield valkey.replace("unix://", "redis+socket://", 1)
        return
    stacks.require_servers()
    with stacks.virtual_host() as host:
        yield host


@pytest.fixture
async def sender(url: str) -> AsyncIterator[Sender]:
    sender = open_sender(url)
    yield sender
    await sender.close()


@pytest.fixture
async def receiver(url: str) -> AsyncIterator[Receiver]:
    receiver = open_receiver(url)
    yield receiver
    await receiver.close()


def new_queue() -> str:
    return f"{uuid.uuid4().hex}.interactive"


async def receive(receiver: Receiver, queues: list[str], count: int) -> list[Message]:
    """Return the next messages, as many as this."""
    received: list[Message] = []
    async with asyncio.timeout(SECONDS):
        while len(received) < count:
            received += await receiver.receive(queues, count - len(received), SECONDS)
    return received


async def test_messages_arrive_once_and_in_order(sender: Sender, receiver: Receiver) -> None:
    queue = new_queue()
    messages = [create_message(queue, [f"job_{number}"]) for number in range(40)]
    await sender.send(messages[:20])
    await sender.send(messages[20:])
    assert await receive(receiver, [queue], 40) == messages
    assert await receiver.receive([queue], 1, NOW) == []


async def test_no_more_than_the_limit_is_taken(
    url: str, sender: Sender, receiver: Receiver
) -> None:
    queue = new_queue()
    await sender.send([create_message(queue, [str(number)]) for number in range(5)])
    assert len(await receive(receiver, [queue], 2)) == 2
    await receiver.close()
    # What was not taken is left to another
    other = open_receiver(url)
    assert [message.ids for message in await receive(other, [queue], 3)] == [("2",), ("3",), ("4",)]
    await other.close()


async def test_a_full_queue_does_not_keep_another_waiting(
    sender: Sender, receiver: Receiver
) -> None:
    full, other = new_queue(), new_queue()
    await sender.send([create_message(full, [str(number)]) for number in range(500)])
    await sender.send([create_message(other, ["other"])])
    received: list[Message] = []
    while not any(message.queue == other for message in received):
        received += await receiver.receive([full, other], 10, SECONDS)
    assert len(received) < 500


async def test_queues_are_added_and_cancelled_between_calls(
    sender: Sender, receiver: Receiver
) -> None:
    first, second = new_queue(), new_queue()
    await sender.send([create_message(first, ["1"])])
    await receive(receiver, [first], 1)
    await sender.send([create_message(first, ["2"]), create_message(second, ["3"])])
    assert [message.ids for message in await receive(receiver, [second], 1)] == [("3",)]
    assert await receiver.receive([second], 1, NOW) == []


async def test_a_receiver_wakes_for_a_message(sender: Sender, receiver: Receiver) -> None:
    queue = new_queue()
    waiting = asyncio.create_task(receive(receiver, [queue], 1))
    await asyncio.sleep(0)
    await sender.send([create_message(queue, ["job_1"])])
    [message] = await waiting
    assert message.ids == ("job_1",)


def celery_app(url: str) -> Celery:
    app = Celery(broker=url, set_as_current=False)
    app.conf.task_create_missing_queue_type = app.conf.task_default_queue_type = "quorum"
    return app


async def test_messages_of_celery_are_received(url: str, receiver: Receiver) -> None:
    queue, app = new_queue(), celery_app(url)
    task = app.send_task(RUN_JOBS_TASK, args=(["job_1", "job_2"],), queue=queue)
    app.close()
    assert await receive(receiver, [queue], 1) == [
        Message(task.id, RUN_JOBS_TASK, queue, ("job_1", "job_2"))
    ]


async def test_kombu_and_celery_read_the_messages(url: str, sender: Sender) -> None:
    queue, app = new_queue(), celery_app(url)
    message = create_message(queue, ["job_1", "job_2"])
    await sender.send([message])
    with app.connection_for_read() as connection:
        [read] = _read_with_kombu(connection, app, queue)
    app.close()
    assert read.headers["task"] == RUN_JOBS_TASK
    assert read.headers["id"] == message.id
    arguments, keywords, _callbacks = read.payload
    assert (arguments, keywords) == ([["job_1", "job_2"]], {})
    # Celery's own sender makes the same headers
    sent = app.amqp.as_task_v2(message.id, message.task, args=(list(message.ids),))
    assert read.headers.keys() == sent.headers.keys()
    assert read.headers["argsrepr"] == sent.headers["argsrepr"]


def _read_with_kombu(connection: Connection, app: Celery, queue: str) -> list:
    received: list = []
    consumer = app.amqp.TaskConsumer(connection, queues=[app.amqp.queues[queue]])
    consumer.on_message = lambda message: (received.append(message), message.ack())
    with consumer:
        connection.drain_events(timeout=SECONDS)
    return received


async def test_what_is_no_message_is_dropped_and_the_next_arrives(
    url: str, sender: Sender, receiver: Receiver
) -> None:
    queue, app = new_queue(), celery_app(url)
    with app.connection_for_write() as connection:
        bound = app.amqp.queues[queue]
        connection.Producer().publish({"no": "task"}, routing_key=queue, declare=[bound])
    app.close()
    await sender.send([create_message(queue, ["job_1"])])
    with capture_logs() as logs:
        received = []
        while not received:
            received = await receiver.receive([queue], 10, SECONDS)
    assert [message.ids for message in received] == [("job_1",)]
    assert [entry["event"] for entry in logs] == ["transport.message_dropped"]


async def test_a_server_that_answers_is_checked(url: str) -> None:
    await check(url)


async def test_a_redis_that_is_too_old_is_named(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_transport, "OLDEST_REDIS", 1_000)
    with pytest.raises(TransportError, match="Redis 7 or Valkey"):
        await check(valkey)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_server_that_does_not_answer_is_an_error(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:9/"
    with pytest.raises(TransportError):
        await check(url)
    with pytest.raises(TransportError):
        await open_receiver(url).receive(["a.batch"], 1, NOW)


def test_another_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="broker_url begins with one of amqp"):
        open_sender("sqs://somewhere")


async def test_a_lost_connection_is_an_error_and_is_opened_again(
    url: str, sender: Sender, receiver: Receiver
) -> None:
    queue = new_queue()
    await sender.send([create_message(queue, ["before"])])
    await receive(receiver, [queue], 1)
    waiting = asyncio.create_task(receiver.receive([queue], 1, SECONDS))
    await asyncio.sleep(NOW)  # it waits at the server now
    await _cut_connections(url)
    with contextlib.suppress(TransportError):  # redis-py connects again by itself
        await waiting
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(TransportError):
                await sender.send([create_message(queue, ["after"])])
                break
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(TransportError):
                if received := await receiver.receive([queue], 1, NOW):
                    break
    assert received[0].ids == ("after",)


async def _cut_connections(url: str) -> None:
    if url.startswith("amqp"):
        host = url.rpartition("/")[2]
        process = await asyncio.create_subprocess_exec(
            "rabbitmqctl", "--quiet", "close_all_connections", "--vhost", host, "test"
        )
        assert await process.wait() == 0
        return
    from redis.asyncio import Redis

    redis = Redis.from_url(url.replace("redis+socket", "unix"))
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await redis.aclose()


async def test_messages_that_are_being_sent_when_the_connection_is_cut_raise_a_known_error(
    url: str, sender: Sender
) -> None:
    """A publisher that got another error, or a cancellation, would end."""
    queue = new_queue()
    await sender.send([create_message(queue, ["before"])])
    cut = False

    async def send_until_cut() -> None:
        while not cut:
            with contextlib.suppress(TransportError):
                await sender.send([create_message(queue, [str(each)]) for each in range(50)])

    sending = [asyncio.create_task(send_until_cut())]
    for _ in range(3):
        await _cut_connections(url)
    cut = True
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*sending)
