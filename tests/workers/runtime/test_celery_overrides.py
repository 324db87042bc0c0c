"""The overrides of Celery's consumer, and the behaviour that needs them.

Each `test_celery_…` or `test_kombu_…` states behaviour of the library. When one fails after an
upgrade, the override that it belongs to may not be needed any more.
"""

import inspect
from unittest import mock

import pytest
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

from workers.runtime import consumer
from workers.runtime.consumer import Consumer


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

    getattr(Refused(), handler)(OSError("refused"))
    assert pauses == [consumer.RECONNECT_SECONDS]
