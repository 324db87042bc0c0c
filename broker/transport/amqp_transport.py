"""Queues of RabbitMQ: durable quorum queues on the default exchange, declared on first use."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import aiormq
import structlog
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError
from pamqp.commands import Basic
from pamqp.common import FieldTable
from pamqp.exceptions import PAMQPException

from broker.transport.messages import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    PERSISTENT,
    MalformedMessageError,
    Message,
    TransportError,
    build_headers,
    decode_body,
    encode_body,
)

QUEUE_TYPE = "quorum"
QUEUE_ARGUMENTS: FieldTable = {"x-queue-type": QUEUE_TYPE}
CONNECT_SECONDS = 5
CONFIRM_SECONDS = 30
PREFETCH_PER_QUEUE = 256
"""Messages that RabbitMQ sends a worker in advance from each queue, at most."""

PRECONDITION_FAILED = 406  # AMQP 0-9-1, section 1.2: reply codes
PUBLISH_TRIES = 5
PUBLISH_SECONDS = 0.1
DECLARE_TRIES = 10
DECLARE_SECONDS = 0.2

log = structlog.get_logger()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # aiormq cancels what waits for an answer when the connection is lost
        raise TransportError("the connection to RabbitMQ was lost") from None
    except TimeoutError:
        raise TransportError("RabbitMQ did not answer in time") from None
    except (AMQPError, PAMQPException, ChannelInvalidStateError, OSError) as error:
        raise TransportError(str(error) or type(error).__name__) from error


class _Link:
    """A connection to RabbitMQ with one channel, opened again after it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def channel(self, *, confirms: bool) -> tuple[AbstractChannel, bool]:
        """Return the channel, and whether it was opened now."""
        if self._channel is not None and not self._channel.is_closed:
            return self._channel, False
        async with asyncio.timeout(CONNECT_SECONDS):
            if self._connection is None or self._connection.is_closed:
                self._connection = await aiormq.connect(self._url)
            self._channel = await self._connection.channel(publisher_confirms=confirms)
        return self._channel, True

    async def declare(self, queue: str) -> None:
        """Declare a queue; where it has another type, delete it and declare it again.

        RabbitMQ refuses to change the type of a queue (406) and closes the channel. The messages
        of the old queue are dropped: the dispatcher publishes their jobs again. A deletion can take
        effect a moment later, so the declaration is repeated.
        """
        assert self._connection is not None
        for left in reversed(range(DECLARE_TRIES)):
            channel = await self._connection.channel()
            try:
                await channel.queue_declare(queue, durable=True, arguments=QUEUE_ARGUMENTS)
            except aiormq.exceptions.ChannelPreconditionFailed as error:
                if not left:
                    raise
                log.warning("queue.replaced", queue=queue, reason=str(error))
                channel = await self._connection.channel()
                await channel.queue_delete(queue)
                await asyncio.sleep(DECLARE_SECONDS)
            else:
                return
            finally:
                await channel.close()

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


class AmqpSender:
    """Publishes messages and awaits RabbitMQ's confirmations together."""

    def __init__(self, url: str) -> None:
        self._link = _Link(url)
        self._declared: set[str] = set()

    async def send(self, messages: Sequence[Message]) -> None:
        """Publish the messages. Raises TransportError; some may have been published then."""
        with _translate_errors():
            channel, is_new = await self._link.channel(confirms=True)
            if is_new:
                self._declared.clear()
            for queue in {message.queue for message in messages} - self._declared:
                await self._link.declare(queue)
                self._declared.add(queue)
            async with asyncio.timeout(CONFIRM_SECONDS):
                await asyncio.gather(*[_publish(channel, message) for message in messages])

    async def check(self) -> None:
        """Reach the server. Raises TransportError."""
        with _translate_errors():
            await self._link.channel(confirms=True)

    async def close(self) -> None:
        await self._link.close()


async def _publish(channel: AbstractChannel, message: Message) -> None:
    """Publish a message. One that RabbitMQ refuses is published again: a new queue may refuse."""
    properties = Basic.Properties(
        content_type=CONTENT_TYPE,
        content_encoding=CONTENT_ENCODING,
        headers=build_headers(message),
        delivery_mode=PERSISTENT,
        correlation_id=message.id,
        priority=0,
    )
    for left in reversed(range(PUBLISH_TRIES)):
        try:
            await channel.basic_publish(
                encode_body(message),
                exchange="",
                routing_key=message.queue,
                properties=properties,
            )
        except DeliveryError:
            if not left:
                raise
            await asyncio.sleep(PUBLISH_SECONDS)
        else:
            return


class AmqpReceiver:
    """Consumes from queues; acknowledges messages when they are returned from `receive`.

    RabbitMQ sends some messages of each queue in advance. They are returned in turns, so that a
    full queue does not keep another waiting.
    """

    def __init__(self, url: str) -> None:
        self._link = _Link(url)
        self._tags: dict[str, str] = {}  # of the consumers, by queue
        self._arrived: dict[str, deque[DeliveredMessage]] = {}  # by queue, without empty ones
        self._changed = asyncio.Event()  # a message arrived, or the channel closed

    async def receive(self, queues: Sequence[str], limit: int, seconds: float) -> list[Message]:
        """Return up to `limit` messages; none after `seconds` without any.

        Raises TransportError.
        """
        with _translate_errors():
            channel = await self._consume(queues)
            if not self._arrived:
                self._changed.clear()
                try:
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
                except TimeoutError:
                    return []
            if channel.is_closed:
                raise TransportError("the connection to RabbitMQ was lost")
            taken = self._take(limit)
            for number, (_, message) in enumerate(taken, start=1):
                await channel.basic_ack(_tag_of(message), wait=number == len(taken))
        return list(_decode_all(taken))

    def _take(self, limit: int) -> list[tuple[str, DeliveredMessage]]:
        """Remove up to `limit` messages, one of each queue in turn."""
        taken: list[tuple[str, DeliveredMessage]] = []
        while self._arrived and len(taken) < limit:
            queue = next(iter(self._arrived))
            waiting = self._arrived.pop(queue)
            taken.append((queue, waiting.popleft()))
            if waiting:  # its next turn comes after the others
                self._arrived[queue] = waiting
        return taken

    async def close(self) -> None:
        """Leave what has not been received to other workers."""
        await self._link.close()

    async def _consume(self, queues: Sequence[str]) -> AbstractChannel:
        """Consume from exactly these queues."""
        channel, is_new = await self._link.channel(confirms=False)
        if is_new:
            self._tags.clear()
            self._arrived.clear()  # RabbitMQ delivers them again
            await channel.basic_qos(prefetch_count=PREFETCH_PER_QUEUE)
            channel.closing.add_done_callback(lambda _: self._changed.set())
        for queue in self._tags.keys() - set(queues):
            await channel.basic_cancel(self._tags.pop(queue))
            for message in self._arrived.pop(queue, ()):
                await channel.basic_nack(_tag_of(message), requeue=True, wait=False)
        for queue in queues:
            if queue not in self._tags:
                await self._link.declare(queue)
                self._tags[queue] = await self._start_consumer(channel, queue)
        return channel

    async def _start_consumer(self, channel: AbstractChannel, queue: str) -> str:
        async def take(message: DeliveredMessage) -> None:
            self._arrived.setdefault(queue, deque()).append(message)
            self._changed.set()

        consumer = await channel.basic_consume(queue, take)
        assert consumer.consumer_tag is not None
        return consumer.consumer_tag


def _tag_of(message: DeliveredMessage) -> int:
    assert message.delivery_tag is not None
    return message.delivery_tag


def _decode_all(delivered: Sequence[tuple[str, DeliveredMessage]]) -> Iterator[Message]:
    for queue, message in delivered:
        headers = message.header.properties.headers or {}
        try:
            yield decode_body(queue, headers, message.body)
        except MalformedMessageError as error:
            log.warning("transport.message_dropped", queue=queue, error=str(error))
