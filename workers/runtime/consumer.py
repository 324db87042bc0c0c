"""Celery's consumer, extended: buffered events, queues that appear later, a bounded prefetch.

Each worker's unacknowledged messages on Redis have keys of their own; those of dead workers are
dropped.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

import structlog
from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown
from redis import Redis
from redis.exceptions import RedisError

from broker.ids import new_id

SEEN_KEY = "waybill:consumers"
"""A sorted set: each consumer with the Unix time in seconds at which it last reported."""

SILENCE_SECONDS = 30.0
SWEEP_SECONDS = 10.0


class _Kombu(Protocol):
    """The part of a Kombu channel that is used here."""

    def conn_or_acquire(self) -> AbstractContextManager[Redis]:
        """Return a client that nobody else is using."""


def new_consumer_id() -> str:
    return new_id("con_")


def transport_options(consumer_id: str) -> dict[str, str]:
    """Return Kombu's options that give a consumer keys of its own."""
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    return dict(zip(names, keys_of(consumer_id), strict=True))


def keys_of(consumer_id: str) -> tuple[str, str, str]:
    """Return the keys in Redis of a consumer's unacknowledged messages."""
    base = f"unacked:{consumer_id}"
    return base, f"{base}:index", f"{base}:mutex"


def report_and_sweep(channel: _Kombu, consumer_id: str, now: float) -> list[str]:
    """Report a consumer as alive; drop the messages of silent ones, whose ids are returned.

    `now` is Unix time in seconds. The channel's own client is not used: it waits for messages, and
    an answer to another command would be taken for one.
    """
    with channel.conn_or_acquire() as redis:
        redis.zadd(SEEN_KEY, {consumer_id: now})
        found = redis.zrangebyscore(SEEN_KEY, "-inf", now - SILENCE_SECONDS)
        silent = [each.decode() if isinstance(each, bytes) else str(each) for each in found]
        for each in silent:
            redis.delete(*keys_of(each))
            redis.zrem(SEEN_KEY, each)
    return silent


FLUSH_SECONDS = 0.25
BUFFERED_EVENTS = 100_000
FROZEN_SECONDS = 10.0
PREFETCH_PER_QUEUE = 256
"""Messages that RabbitMQ hands a worker in advance from each queue, at most. Quorum queues count
for each queue apart, so that Celery's figure, one for all, would be multiplied by the queues."""

PRECONDITION_FAILED = 406  # AMQP 0-9-1, section 1.2: reply codes
DECLARE_TRIES = 10
DECLARE_SECONDS = 0.2
DELAYED_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
RECONNECT_SECONDS = 0.5

log = structlog.get_logger()


def abandon_messages(channel: Any) -> None:
    """Leave the messages of a lost connection where they are.

    Kombu's virtual channels (Redis) put unacknowledged messages back when they are collected, and
    acknowledge a message by the connection that it came by (`kombu.transport.virtual.base`). Both
    fail on a lost connection, and the error ends the worker. Messages are hints: the jobs that run
    continue, the dispatcher publishes the others again, and a doubled message is harmless.
    """
    channel.do_restore = False
    channel.basic_ack = channel.basic_reject = _ignore


def _ignore(*_: Any, **__: Any) -> None:
    """Do nothing, in place of an acknowledgement."""


def _declare(connection: Any, queue: Any) -> None:
    """Declare a queue on RabbitMQ; where it has another type, delete it and declare it again.

    RabbitMQ refuses to change the type of a queue (406). The messages of the old queue are dropped:
    messages are hints, and the dispatcher publishes the jobs again. A deletion can take effect a
    moment later, so the declaration is repeated.
    """
    for left in reversed(range(DECLARE_TRIES)):
        try:
            with connection.channel() as channel:
                queue.bind(channel).declare()
        except connection.channel_errors as error:
            if error.code != PRECONDITION_FAILED or not left:
                raise
            log.warning("queue.replaced", queue=queue.name, reason=error.reply_text)
            with connection.channel() as channel:
                channel.queue_delete(queue.name)
            time.sleep(DECLARE_SECONDS)
        else:
            return


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer with buffered events, new queues at run time and a bounded prefetch.

    Task events are sent in one message per interval, from this thread only. Celery publishes them
    after each step of each task, which costs more than all its other handling of the task. Flower
    sees the same events, a little later. A full buffer is sent by the pool thread that fills it, on
    the connection that this thread reads; on RabbitMQ the two then wait for each other. The buffer
    is therefore so large that it does not fill.

    Messages are acknowledged late, when their bundle has ended. An acknowledgement at hand-over
    would not count running bundles against the prefetch limit, and would not make
    `abandon_messages` needless, because prefetched messages are still unacknowledged.
    """

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]  # Celery has no types
        """Celery's steps without delayed delivery.

        Celery declares a chain of exchanges and queues for it where a queue is a quorum queue.
        Nothing is delayed in the transport here.
        """

        default_steps: ClassVar[list[str]] = [
            step for step in CeleryConsumer.Blueprint.default_steps if step != DELAYED_DELIVERY
        ]

    wanted: ClassVar[Callable[[], Sequence[str]]]  # the queues to take from; set by the app
    consumer_id: ClassVar[str] = ""  # names its unacknowledged messages; set by the app
    _ticked_at: ClassVar[float | None] = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Celery warns at each lost connection that running tasks continue; they are meant to
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        self._added = set(self.app.amqp.queues.consume_from)
        self._sweep_at = 0.0
        if self.hub:
            self.hub.call_repeatedly(FLUSH_SECONDS, self._tick)

    @classmethod
    def is_consuming(cls) -> bool:
        """Return whether the consumer's loop runs. True until it has run for the first time."""
        ticked = cls._ticked_at
        return ticked is None or time.monotonic() - ticked < FROZEN_SECONDS

    def update_strategies(self) -> None:
        """Limit the prefetch and declare the queues.

        Celery's `Tasks` step calls this first, and then sets `initial_prefetch_count` for the
        channel. That count is one per pool thread, and quorum queues apply it to each queue.
        """
        if self._transport == "amqp":
            consumer: Any = self  # Celery has no types
            consumer.initial_prefetch_count = min(
                consumer.initial_prefetch_count, PREFETCH_PER_QUEUE
            )
            for queue in self.app.amqp.queues.consume_from.values():
                _declare(self.connection, queue)
        super().update_strategies()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long that takes, with constant pauses.

        Celery's pauses grow to half a minute (`Connection.ensure_connection`: `interval_max`).
        """

        def log_failure(error: Exception, _pause: float) -> None:
            log.warning("worker.no_transport", error=str(error))

        conn.ensure_connection(
            log_failure,
            interval_start=RECONNECT_SECONDS,
            interval_step=0,
            interval_max=RECONNECT_SECONDS,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return conn

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the error and pause: the transport accepts connections and refuses commands.

        Celery tries again at once.
        """
        log.warning("worker.no_transport", error=str(exc))
        time.sleep(RECONNECT_SECONDS)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close a lost connection without its messages, see `abandon_messages`.

        Celery reconnects at once, also when the transport accepts connections and then refuses
        each command. The pause keeps that from being a busy loop.
        """
        for channel in getattr(self.connection.transport, "channels", ()):
            abandon_messages(channel)
        log.warning("worker.transport_lost", error=str(exc))
        super().on_connection_error_after_connected(exc)
        time.sleep(RECONNECT_SECONDS)

    def on_send_event_buffered(self) -> None:
        """Leave the event in the buffer until `_tick` sends it.

        Celery's own method flushes the buffer after each event.
        """

    def _tick(self) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.buffer_limit = BUFFERED_EVENTS
            self.event_dispatcher.flush()
        self._take_from_new()
        self._sweep_unacked()
        type(self)._ticked_at = time.monotonic()  # noqa: SLF001  # its own

    @property
    def _transport(self) -> str:
        return str(self.conninfo.transport.driver_type)

    def _take_from_new(self) -> None:
        """Begin to take from new queues, in the thread that reads the connection.

        Each queue is added once. A queue that was cancelled since is not added again.
        """
        new = [name for name in type(self).wanted() if name not in self._added]
        if not self.task_consumer or not new:
            return
        for name in new:
            self._added.add(name)
            self.add_task_queue(self.app.amqp.queues[name].name)

    def _sweep_unacked(self) -> None:
        now = time.monotonic()
        if self._transport != "redis" or not self.task_consumer or now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        channel = self.task_consumer.channel
        try:
            dropped = report_and_sweep(channel, self.consumer_id, time.time())
        except (RedisError, OSError) as error:
            log.warning("worker.unacked_not_swept", error=str(error))
            return
        for silent in dropped:
            log.info("worker.unacked_dropped", consumer=silent)
