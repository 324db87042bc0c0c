"""The publisher bundles what is due, and keeps what it cannot send."""

import asyncio

import pytest
from structlog.testing import capture_logs

from broker.dispatch import publisher as module
from broker.dispatch.publisher import Publisher
from broker.queues import BUNDLE_SIZE, DELIVERIES_QUEUE
from broker.transport import Message, TransportError

SECONDS = 5.0


class Sender:
    """A transport that records what is sent, and can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.calls: list[list[Message]] = []
        self.called = asyncio.Event()
        self.is_closed = False

    async def send(self, messages: list[Message]) -> None:
        self.called.set()
        await asyncio.sleep(0)
        if self.is_away:
            raise TransportError("away")
        self.calls.append(messages)

    async def check(self) -> None:
        """Answer."""

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def sender(monkeypatch):
    sender = Sender()
    monkeypatch.setattr(module, "open_sender", lambda _url: sender)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    return sender


def sent(sender: Sender) -> list[tuple[str, tuple[str, ...]]]:
    return [(message.queue, message.ids) for call in sender.calls for message in call]


async def test_what_is_due_at_once_is_one_call_in_bundles(sender):
    publisher = Publisher("redis://")
    publisher.start()
    ids = [f"job_{number}" for number in range(BUNDLE_SIZE + 1)]
    publisher.publish("sim", "interactive", ids[:1])
    publisher.publish("sim", "interactive", ids[1:])
    publisher.publish("other", "batch", ["job_x"])
    publisher.publish_deliveries(["dlv_1"])
    await publisher.close()
    assert len(sender.calls) == 1
    assert sent(sender) == [
        ("sim.interactive", tuple(ids[:BUNDLE_SIZE])),
        ("sim.interactive", tuple(ids[BUNDLE_SIZE:])),
        ("other.batch", ("job_x",)),
        (DELIVERIES_QUEUE, ("dlv_1",)),
    ]
    assert sender.is_closed


async def test_ids_are_kept_while_the_transport_is_away_and_keep_their_order(sender):
    sender.is_away = True
    publisher = Publisher("redis://")
    publisher.start()
    with capture_logs() as logs:
        publisher.publish("sim", "interactive", ["job_1"])
        await asyncio.wait_for(sender.called.wait(), SECONDS)
        publisher.publish("sim", "interactive", ["job_2"])
        sender.called.clear()
        await asyncio.wait_for(sender.called.wait(), SECONDS)
        sender.is_away = False
        async with asyncio.timeout(SECONDS):
            while not sender.calls:
                sender.called.clear()
                await sender.called.wait()
                await asyncio.sleep(0.01)
    await publisher.close()
    assert sent(sender) == [("sim.interactive", ("job_1", "job_2"))]
    assert {entry["event"] for entry in logs} == {"publisher.transport_down"}


async def test_an_unexpected_error_does_not_end_the_publisher(sender, monkeypatch):
    errors = [KeyError("unexpected")]
    send = sender.send

    async def fail_once(messages):
        if errors:
            raise errors.pop()
        await send(messages)

    monkeypatch.setattr(sender, "send", fail_once)
    publisher = Publisher("redis://")
    publisher.start()
    publisher.publish("sim", "interactive", ["job_1"])
    await asyncio.wait_for(sender.called.wait(), SECONDS)
    await publisher.close()
    assert sent(sender) == [("sim.interactive", ("job_1",))]


async def test_a_transport_that_is_away_does_not_hold_up_the_end(sender, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 1_000)
    sender.is_away = True
    publisher = Publisher("redis://")
    publisher.start()
    publisher.publish("sim", "interactive", ["job_1"])
    await asyncio.wait_for(sender.called.wait(), SECONDS)
    await asyncio.wait_for(publisher.close(), SECONDS)
    assert sender.is_closed


async def test_the_ids_that_are_kept_are_bounded(sender, monkeypatch):
    monkeypatch.setattr(module, "KEPT_IDS", 3)
    publisher = Publisher("redis://")
    publisher.publish("sim", "interactive", ["1", "2"])
    publisher.publish("sim", "interactive", ["3", "4"])
    publisher.publish("sim", "interactive", ["5"])
    publisher.start()
    await publisher.close()
    assert sent(sender) == [("sim.interactive", ("1", "2", "3"))]
