"""Celery's consumer reports the messages that the job loop runs, and shows its queues."""

from unittest import mock

import pytest
from celery.worker import state
from kombu.entity import Queue

from broker.queues import RUN_JOBS_TASK
from broker.transport.messages import create_message
from workers.runtime.consumer import Consumer, QueueView
from workers.runtime.task_log import TaskLog

QUEUE = "sim.interactive"


class Reporting(Consumer):
    """A consumer without a connection."""

    def __init__(self) -> None:
        self._running = {}
        self.tasks = TaskLog()
        self.event_dispatcher = mock.Mock()
        self.task_consumer = None

    def events(self) -> list[str]:
        return [call.args[0] for call in self.event_dispatcher.send.mock_calls]


def test_a_message_is_reported_as_a_task():
    consumer, message = Reporting(), create_message(QUEUE, ["job_1"])
    consumer.tasks.start(message, 1_000.0)
    consumer._report()
    assert consumer.events() == ["task-received", "task-started"]
    received = consumer.event_dispatcher.send.mock_calls[0].kwargs
    assert received["uuid"] == message.id
    assert received["name"] == RUN_JOBS_TASK
    assert received["args"] == "(['job_1'],)"
    assert received["timestamp"] == 1_000.0
    # `inspect active` shows it until it has ended
    [shown] = [request.info() for request in state.requests.values()]
    assert (shown["id"], shown["time_start"]) == (message.id, 1_000.0)
    consumer.tasks.end(message, 2.5, {"completed": 1})
    consumer._report()
    assert consumer.events()[2:] == ["task-succeeded"]
    assert consumer.event_dispatcher.send.mock_calls[-1].kwargs["runtime"] == 2.5
    assert list(state.requests) == []
    assert consumer.event_dispatcher.flush.call_count == 2


def test_a_message_is_counted_without_a_monitor():
    consumer, message = Reporting(), create_message(QUEUE, ["job_1"])
    consumer.event_dispatcher = None
    before = state.total_count[RUN_JOBS_TASK]
    consumer.tasks.start(message, 1_000.0)
    consumer.tasks.end(message, 1.0, {"completed": 1})
    consumer._report()
    assert state.total_count[RUN_JOBS_TASK] == before + 1


class Source:
    """The job loop's queues."""

    def __init__(self) -> None:
        self.names = ["a.batch", "b.batch"]

    def queues(self) -> list[str]:
        return self.names

    def cancel_queue(self, name: str) -> None:
        self.names.remove(name)

    def add_queue(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)


def test_the_view_shows_and_changes_the_queues_of_the_job_loop(monkeypatch):
    source = Source()
    monkeypatch.setattr(QueueView, "source", source, raising=False)
    view = QueueView(None, [Queue("a.batch")])
    assert view.new_queues() == ["b.batch"]
    view.cancel_by_queue("a.batch")
    assert source.names == ["b.batch"]
    assert not view.consuming_from("a.batch")
    assert view.new_queues() == ["b.batch"]
    queue = mock.Mock()
    queue.name = "a.batch"
    queue.return_value = queue
    view.add_queue(queue)
    assert view.consuming_from("a.batch")
    assert source.names == ["b.batch", "a.batch"]


@pytest.mark.parametrize(
    ("results", "event", "text"),
    [
        ({"completed": 12, "retried": 3}, "task-succeeded", "12 completed, 3 retried; sim.batch"),
        ({"completed": 1, "failed": 2}, "task-failed", "1 completed, 2 failed; sim.batch"),
        ({"retried": 1}, "task-retried", "1 retried; sim.batch"),
        ({"returned": 30, "waiting": 2}, "task-retried", "2 waiting, 30 returned; sim.batch"),
        ({"skipped": 1}, "task-succeeded", "1 skipped; sim.batch"),
        ({"lost": 1}, "task-failed", "1 lost; sim.batch"),
        ({"sent": 4}, "task-succeeded", "4 sent; sim.batch"),
        (None, "task-failed", "an unexpected error, see the log; sim.batch"),
    ],
)
def test_the_end_of_a_message_says_what_became_of_its_jobs(results, event, text):
    consumer, message = Reporting(), create_message("sim.batch", ["job_1"])
    consumer.tasks.start(message, 1_000.0)
    consumer.tasks.end(message, 1.0, results)
    consumer._report()
    assert consumer.events()[-1] == event
    sent = consumer.event_dispatcher.send.mock_calls[-1].kwargs
    assert sent.get("result") == text or sent.get("exception") == text
