"""The event at the end of an attempt is what was stored."""

from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest
from sqlalchemy import select

from broker.completion import AttemptOutcome, Chunk, CompletionRequest, ErrorType
from broker.pricing import Price
from broker.routing import Plan
from broker.settings import Settings
from broker.storage.tables import Generation
from tests.factories import cancel, failure, make_principal, submit_and_claim
from workers.attempt.events import AttemptEvents
from workers.attempt.recording import fail
from workers.upstream.assembly import Assembly


class Tools:
    """A worker's tools, with a note of what is told and published."""

    def __init__(self, database):
        self.database = database
        self.settings = Settings()
        self.told, self.published = [], []
        self.events = SimpleNamespace(emit=lambda _job, new, **_: self.told.extend(new))
        self.publisher = SimpleNamespace(publish=lambda *job: self.published.append(job))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_job_that_was_cancelled_as_its_attempt_failed_is_told_as_cancelled(
    database, stream
):
    # Given an attempt that fails in a way that is tried again
    caller, tools = make_principal(database), Tools(database)
    job = replace(submit_and_claim(database, caller), stream=stream)
    events = await AttemptEvents.open(job, tools.events, redis=None)
    run = SimpleNamespace(
        job=job,
        events=events,
        assembly=None,
        timings=SimpleNamespace(first_token_ms=1, duration_ms=2),
    )
    # When its caller cancels the job, and the worker has yet to hear of it
    cancel(database, job.id, caller.workspace_id)
    await fail(tools, run, failure())
    # Then nobody hears of a retry, and none is published
    assert [event.type for event in tools.told] == ["started", "cancelled"]
    assert [event.number for event in tools.told] == [1, 2]
    assert orjson.loads(tools.told[-1].data)["error"]["message"]
    assert tools.published == []


@pytest.mark.parametrize("length", [1, 10_000])
async def test_a_cancelled_stream_is_charged_by_estimate_no_more_than_its_hold(database, length):
    # Given a stream of which more was shown than the hold foresaw, without a word on usage
    caller, tools = make_principal(database), Tools(database)
    job = replace(submit_and_claim(database, caller), stream=True)
    endpoint = replace(
        job.endpoint, price=Price(completion=10_000_000), supported_parameters=frozenset()
    )
    job = replace(job, plan=Plan((replace(job.plan.steps[0], endpoint=endpoint),)))
    events = await AttemptEvents.open(job, tools.events, redis=None)
    assembly = Assembly(lambda _: events.chunk({"choices": []}))
    assembly.add(Chunk(choices=[{"index": 0, "delta": {"content": "four" * length}}]))
    run = SimpleNamespace(
        job=job,
        events=events,
        assembly=assembly,
        request=CompletionRequest({"messages": []}, "m/one", stream=True),
        timings=SimpleNamespace(first_token_ms=1, duration_ms=2),
        watch=SimpleNamespace(sent=True, answered=True),
        last=None,
    )
    # When its caller cancels it
    await fail(tools, run, failure(AttemptOutcome.CANCELLED, ErrorType.CANCELLED))
    # Then it costs what was shown, within what was held for it
    [cost] = database.read_now(lambda c: c.execute(select(Generation.cost_nanos)).scalars().all())
    assert 0 < cost <= job.hold_nanos
    assert (cost == job.hold_nanos) is (length > 1)
