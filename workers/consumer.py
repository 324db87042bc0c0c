"""Celery's consumer with two changes: events leave a few times a second, and queues may be added.

A provider that only workspaces have keys of gets its queues when the first such key appears.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer as CeleryConsumer

FLUSH_SECONDS = 0.25
BUFFERED_EVENTS = 100_000
FROZEN_SECONDS = 10.0


def _to_nobody(*_: Any, **__: Any) -> None:
    """Answer a message whose sender has gone."""


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Sends buffered task events in one message per interval, from its own thread only.

    Celery publishes them after each step of each task, which costs more than all its other
    handling of the task, and delays the next one. Flower sees the same events, a little later. A
    full buffer would be sent by whichever pool thread filled it, on the connection that this
    thread reads: on RabbitMQ both then wait for each other. So the buffer never fills in practice.
    """

    wanted: ClassVar[Callable[[], Sequence[str]]]  # the queues to take from; set by the app
    _ticked_at: ClassVar[float | None] = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # what runs as a connection is lost goes on: that is decided, and no news each time
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        if self.hub:
            self.hub.call_repeatedly(FLUSH_SECONDS, self._tick)

    @classmethod
    def is_consuming(cls) -> bool:
        """Tell whether the consumer's loop turns; it is assumed to until it has turned once."""
        ticked = cls._ticked_at
        return ticked is None or time.monotonic() - ticked < FROZEN_SECONDS

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a lost connection, and of the messages that came by it.

        On Redis, Kombu would put them back and acknowledge them by that same connection, and end
        the worker over it. Messages are hints: what runs goes on, and doubles do no harm.
        """
        for channel in getattr(self.connection.transport, "channels", ()):
            channel.do_restore = False
            channel.basic_ack = channel.basic_reject = _to_nobody
        super().on_connection_error_after_connected(exc)

    def on_send_event_buffered(self) -> None:
        """Leave the event in the buffer."""

    def _tick(self) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.buffer_limit = BUFFERED_EVENTS
            self.event_dispatcher.flush()
        self._take_from_wanted()
        type(self)._ticked_at = time.monotonic()  # noqa: SLF001  # its own

    def _take_from_wanted(self) -> None:
        """Begin to take from queues that are new, in this thread, which reads the connection."""
        taken = self.task_consumer
        missing = taken and [n for n in type(self).wanted() if not taken.consuming_from(n)]
        if not missing:
            return
        known = self.app.amqp.queues
        for name in missing:
            taken.add_queue(known.select_add(known.new_missing(name)))
        taken.consume()
