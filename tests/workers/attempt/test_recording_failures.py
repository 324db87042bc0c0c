"""The event at the end of an attempt is what was stored."""

from dataclasses import replace

import orjson
import pytest
from sqlalchemy import select

from broker.completion import AttemptOutcome, Chunk, CompletionRequest, ErrorType
from broker.pricing import Price
from broker.routing import Plan
from broker.storage.tables import Attempt, Generation
from tests.factories import cancel, failure, make_principal, submit_and_claim
from tests.workers.parts import make_recording
from workers.attempt.events import AttemptEvents
from workers.attempt.job_run import JobRun
from workers.attempt.running_attempts import AttemptHandle
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly


async def open_run(job, recording, **more):
    """A run of a claimed job whose request was sent."""
    watch = Stopwatch(Deadlines(1, 1, 1))
    watch.sent = watch.answered = True
    events = await AttemptEvents.open(job, recording.events, redis=None)
    request = CompletionRequest({"messages": []}, "m/one", stream=job.stream)
    return JobRun(job, request, events, watch, AttemptHandle(job.attempt), **more)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_job_that_was_cancelled_as_its_attempt_failed_is_told_as_cancelled(
    database, stream
):
    # Given an attempt that fails in a way that is tried again
    caller, recording = make_principal(database), make_recording(database)
    job = replace(submit_and_claim(database, caller), stream=stream)
    run = await open_run(job, recording)
    # When its caller cancels the job, and the worker has yet to hear of it
    cancel(database, job.id, caller.workspace_id)
    await recording.fail(run, failure())
    # Then nobody hears of a retry, and none is published
    assert recording.events.types == ["started", "cancelled"]
    assert [event.number for event in recording.events.events] == [1, 2]
    assert orjson.loads(recording.events.events[-1].data)["error"]["message"]
    assert recording.publisher.jobs == []


@pytest.mark.parametrize("length", [1, 10_000])
async def test_a_cancelled_stream_is_charged_by_estimate_no_more_than_its_hold(database, length):
    # Given a stream of which more was shown than the hold foresaw, without a word on usage
    caller, recording = make_principal(database), make_recording(database)
    job = replace(submit_and_claim(database, caller), stream=True)
    endpoint = replace(
        job.endpoint, price=Price(completion=10_000_000), supported_parameters=frozenset()
    )
    job = replace(job, plan=Plan((replace(job.plan.steps[0], endpoint=endpoint),)))
    run = await open_run(job, recording)
    run.assembly = Assembly(lambda _: run.events.chunk({"choices": []}))
    run.assembly.add(Chunk(choices=[{"index": 0, "delta": {"content": "four" * length}}]))
    # When its caller cancels it
    await recording.fail(run, failure(AttemptOutcome.CANCELLED, ErrorType.CANCELLED))
    # Then it costs what was shown, within what was held for it
    [cost] = database.read_now(lambda c: c.execute(select(Generation.cost_nanos)).scalars().all())
    assert 0 < cost <= job.hold_nanos
    assert (cost == job.hold_nanos) is (length > 1)


async def test_a_failed_attempt_keeps_the_providers_id_of_its_answer(database):
    # Given an attempt whose answer began before the connection was lost
    caller, recording = make_principal(database), make_recording(database)
    job = submit_and_claim(database, caller)
    run = await open_run(job, recording)
    run.assembly = Assembly(lambda _: None)
    run.assembly.add(Chunk(upstream_id="resp_1"))
    # When it fails
    await recording.fail(run, failure(AttemptOutcome.UNKNOWN, ErrorType.PROVIDER_UNAVAILABLE))
    # Then the answer can be looked up at the provider
    known = database.read_now(lambda c: c.execute(select(Attempt.upstream_id)).scalars().all())
    assert known == ["resp_1"]
