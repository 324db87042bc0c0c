"""Celery's consumer with one change: monitoring events leave a few times a second, not per task."""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

FLUSH_SECONDS = 0.25


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Sends buffered task events in one message per interval.

    Celery publishes them after each step of each task, which costs more than all its other
    handling of the task, and delays the next one. Flower sees the same events, a little later.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.hub:
            self.hub.call_repeatedly(FLUSH_SECONDS, self._flush_events)

    def on_send_event_buffered(self) -> None:
        """Leave the event in the buffer."""
