"""A stream's log that Redis lost is carried on where no reader can join two answers."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from broker.events import job_events
from workers.attempt import events


@pytest.mark.parametrize("lost", ["empty", "unreachable"])
async def test_a_lost_log_goes_on_far_above_what_was_told(monkeypatch, lost: str) -> None:
    async def take_over(*_: object, **__: object) -> AsyncIterator[list[job_events.Event]]:
        if lost == "unreachable":
            raise RedisConnectionError
        for nothing in ():
            yield nothing

    monkeypatch.setattr(job_events, "take_over", take_over)
    told: list[job_events.Event] = []
    writer = SimpleNamespace(emit=lambda _job, new, **_: told.extend(new))
    endpoint = SimpleNamespace(provider="up", model="acme/small")
    job = SimpleNamespace(id="job_1", attempt=3, stream=True, endpoint=endpoint, queued_ms=0)
    await events.AttemptEvents.open(job, writer, redis=None)
    first = job_events.first_number(3)
    assert [(each.number, each.type) for each in told] == [
        (first, job_events.RETRYING),
        (first + 1, job_events.STARTED),
    ]
