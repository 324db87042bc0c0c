"""Celery's consumer without the consuming: Celery reports and controls, the job loop receives.

Messages are taken by `workers.runtime.receiving`. What remains Celery's is what operators see: task
events for Flower and `celery events`, `celery inspect`, and the control commands that add and
cancel queues.
"""

import time
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import structlog
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown
from kombu.entity import Queue
from kombu.messaging import Consumer as KombuConsumer

from broker.transport import Message
from broker.transport.messages import render_arguments
from workers.attempt.results import JobResult
from workers.runtime.task_log import TaskEnded, TaskLog, TaskStarted

REPORT_SECONDS = 1.0
BUFFERED_EVENTS = 1_000
DELAYED_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
RECONNECT_SECONDS = 0.5

SUCCEEDED, RETRIED, FAILED = "task-succeeded", "task-retried", "task-failed"
SENT = "sent"
"""The result of deliveries of webhooks: each delivery has a record of its own."""
_REPEATED = (JobResult.RETRIED, JobResult.RETURNED, JobResult.WAITING)
_RANKS: list[str] = [*JobResult, SENT]

log = structlog.get_logger()


class Queues(Protocol):
    """The part of the job loop that decides which queues it takes from."""

    def queues(self) -> Sequence[str]:
        """Return the queues that it takes from now."""

    def cancel_queue(self, name: str) -> None:
        """Take no more from a queue."""

    def add_queue(self, name: str) -> None:
        """Take from a queue again."""


class QueueView(KombuConsumer):
    """The queues that the job loop takes from, for Celery's commands. It consumes nothing itself.

    `celery inspect active_queues`, `control add_consumer` and `control cancel_consumer` use it.
    """

    source: ClassVar[Queues]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"auto_declare": False})  # type: ignore[no-untyped-call]

    def consume(self, no_ack: bool | None = None) -> None:
        """Consume nothing: the job loop does."""

    def consuming_from(self, queue: Queue | str) -> bool:
        return (queue if isinstance(queue, str) else queue.name) in self._shown()

    def add_queue(self, queue: Queue) -> Any:
        self.source.add_queue(queue.name)
        return super().add_queue(queue)  # type: ignore[no-untyped-call]

    def cancel_by_queue(self, queue: Queue | str) -> None:
        self.source.cancel_queue(queue if isinstance(queue, str) else queue.name)
        super().cancel_by_queue(queue)  # type: ignore[no-untyped-call]

    def new_queues(self) -> list[str]:
        """Return the queues that the job loop takes from and that are not shown yet."""
        shown = self._shown()
        return [name for name in self.source.queues() if name not in shown]

    def _shown(self) -> set[str]:
        return {queue.name for queue in self.queues or ()}


def describe_end(entry: TaskEnded) -> tuple[str, str]:
    """Return Celery's event for the end of a message, and its result in words.

    A message with a job that failed has failed. One of whose jobs none was answered, but some are
    tried again, is retried. The text has the number of each result and the queue.
    """
    results, queue = entry.results, entry.message.queue
    if results is None:
        return FAILED, f"an unexpected error, see the log; {queue}"
    counts = ", ".join(f"{results[name]} {name}" for name in sorted(results, key=_RANKS.index))
    text = f"{counts or 'nothing'}; {queue}"
    if any(results.get(name) for name in (JobResult.FAILED, JobResult.LOST)):
        return FAILED, text
    is_repeated = any(results.get(name) for name in _REPEATED)
    is_answered = any(results.get(name) for name in (JobResult.COMPLETED, SENT))
    return (RETRIED if is_repeated and not is_answered else SUCCEEDED), text


class RunningTask:
    """A message that is being worked on, as `celery inspect active` shows it."""

    def __init__(self, message: Message, started_at: float) -> None:
        self.id = message.id
        self.name = message.task
        self._message = message
        self._started_at = started_at

    def info(self, safe: bool = False) -> dict[str, object]:  # noqa: ARG002  # arguments are ids
        """Return what Celery's own requests return."""
        return {
            "id": self.id,
            "name": self.name,
            "args": render_arguments(self._message),
            "kwargs": "{}",
            "type": self.name,
            "hostname": None,
            "time_start": self._started_at,
            "acknowledged": True,
            "delivery_info": {"exchange": "", "routing_key": self._message.queue},
            "worker_pid": None,
        }


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which reports the messages that the job loop takes.

    Task events are sent in one message per interval; Flower sees them a little later.
    """

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]  # Celery has no types
        """Celery's steps without delayed delivery.

        Celery declares a chain of exchanges and queues for it where a queue is a quorum queue.
        Nothing is delayed in the transport here.
        """

        default_steps: ClassVar[list[str]] = [
            step for step in CeleryConsumer.Blueprint.default_steps if step != DELAYED_DELIVERY
        ]

    tasks: ClassVar[TaskLog]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Celery warns at each lost connection that running tasks continue; they are meant to
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        self._running: dict[str, RunningTask] = {}
        if self.hub:
            self.hub.call_repeatedly(REPORT_SECONDS, self._report)

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
        """Log the error and pause. The pause keeps reconnecting from being a busy loop."""
        log.warning("worker.control_connection_lost", error=str(exc))
        super().on_connection_error_after_connected(exc)
        time.sleep(RECONNECT_SECONDS)

    def _report(self) -> None:
        """Report what happened since the last call, and show new queues."""
        for entry in self.tasks.take():
            if isinstance(entry, TaskStarted):
                self._report_start(entry)
            else:
                self._report_end(entry)
        if self.event_dispatcher:
            self.event_dispatcher.buffer_limit = BUFFERED_EVENTS
            self.event_dispatcher.flush()
        if self.task_consumer:
            for name in self.task_consumer.new_queues():
                self.add_task_queue(name)

    def _report_start(self, entry: TaskStarted) -> None:
        task = RunningTask(entry.message, entry.at)
        self._running[task.id] = task
        state.task_reserved(task)
        state.task_accepted(task)
        self._send(
            "task-received",
            entry.message,
            timestamp=entry.at,
            name=task.name,
            args=render_arguments(entry.message),
            kwargs="{}",
            root_id=task.id,
            parent_id=None,
            retries=0,
            eta=None,
            expires=None,
        )
        self._send("task-started", entry.message, timestamp=entry.at)

    def _report_end(self, entry: TaskEnded) -> None:
        task = self._running.pop(entry.message.id, None)
        event, text = describe_end(entry)
        if task is not None:
            state.task_ready(task, successful=event == SUCCEEDED)
        if event == SUCCEEDED:
            self._send(event, entry.message, result=text, runtime=entry.seconds)
        else:
            self._send(event, entry.message, exception=text, traceback="", runtime=entry.seconds)

    def _send(self, event: str, message: Message, **fields: object) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.send(event, uuid=message.id, **fields)

    def on_send_event_buffered(self) -> None:
        """Leave the event in the buffer until `_report` sends it.

        Celery's own method flushes the buffer after each event.
        """
