"""One attempt from its claim to its record: a real database, Valkey, and a provider on a socket."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from broker.clock import now_ms
from broker.enums import OnUnknown
from broker.events.job_events import EventWriter
from broker.providers.endpoint_stats import PauseReason
from broker.settings import Settings
from tests.factories import (
    LEASE,
    attempts,
    claim_one,
    entries,
    generations,
    job_row,
    make_principal,
    rescue,
    submit,
)
from tests.workers.parts import permit_for, runner_of
from tests.workers.upstream.provider_socket import End, Provider

JSON = ("content-type: application/json",)
EVENTS = ("content-type: text/event-stream",)
ANSWER = orjson.dumps(
    {
        "id": "up-1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
)
CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
LAST_CHUNK = (
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],'
    b' "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]\n\n'
)
BETA = ("beta", "acme/small")
ALPHA = ("alpha", "acme/small")


def silent():
    """A provider that accepts a request and sends the head of an answer, then nothing."""
    return Provider(EVENTS, [], End.OPEN)


@asynccontextmanager
async def worker_of(provider, database, redis, **settings):
    """A worker whose providers are all this one."""
    async with (
        provider.serving() as url,
        runner_of(database, redis, Settings(**settings), url=url) as runner,
    ):
        yield runner


def submit_job(database, **options):
    return submit(database, make_principal(database), now=now_ms(), **options)


@pytest.fixture
def published(monkeypatch):
    """The types of the events that are published."""
    types, emit = [], EventWriter.emit

    def record(writer, job_id, events, **options):
        types.extend(event.type for event in events)
        emit(writer, job_id, events, **options)

    monkeypatch.setattr(EventWriter, "emit", record)
    return types


@asynccontextmanager
async def running(runner, provider, job_id):
    """Run a job until its provider has the request; then wait for its end after the block."""
    run = asyncio.create_task(runner.run(permit_for(), job_id))
    async with asyncio.timeout(20):
        await provider.answering.wait()
        yield
        await run


async def test_an_answer_is_stored_settled_and_published(database, redis):
    provider = Provider(JSON, [ANSWER])
    job_id = submit_job(database)
    async with worker_of(provider, database, redis) as runner:
        await runner.run(permit_for(), job_id)
    assert provider.requests == 1
    assert job_row(database, job_id).state == "completed"
    [generation] = generations(database, job_id)
    assert (generation.input_tokens, generation.output_tokens) == (3, 4)
    assert {"hold", "settle"} <= entries(database, job_id).keys()
    assert runner.attempts.leases() == {}
    assert runner.recording.publisher.jobs == []


async def test_a_duplicate_message_makes_no_second_call(database, redis):
    provider = Provider(JSON, [ANSWER])
    job_id = submit_job(database)
    claim_one(database, job_id, owner="worker-2", now=now_ms())
    async with worker_of(provider, database, redis) as runner:
        await runner.run(permit_for(), job_id)
    assert provider.requests == 0
    assert attempts(database, job_id) == [(1, None)]


async def test_a_stream_is_published_while_it_comes(database, redis, published):
    provider = Provider(EVENTS, [CHUNK, LAST_CHUNK])
    job_id = submit_job(database, body={"stream": True})
    async with worker_of(provider, database, redis) as runner:
        await runner.run(permit_for(), job_id)
    assert published == ["started", "chunk", "chunk", "usage", "completed"]
    assert job_row(database, job_id).state == "completed"


async def test_a_refusal_moves_the_job_to_the_next_plan_step(database, redis):
    provider = Provider(JSON, [b'{"error": {"message": "no"}}'], status="401 Unauthorized")
    job_id = submit_job(database, places=(ALPHA, BETA))
    async with worker_of(provider, database, redis) as runner:
        await runner.run(permit_for(), job_id)
    job = job_row(database, job_id)
    assert (job.state, job.provider, job.position) == ("queued", "beta", 1)
    assert runner.recording.publisher.jobs == [("beta", job_id)]


async def test_an_invalid_request_ends_the_job_at_no_cost(database, redis):
    provider = Provider(JSON, [b'{"error": {"message": "no"}}'], status="400 Bad Request")
    job_id = submit_job(database)
    async with worker_of(provider, database, redis) as runner:
        await runner.run(permit_for(), job_id)
    assert job_row(database, job_id).state == "failed"
    assert "release" in entries(database, job_id)
    assert generations(database, job_id) == []


@pytest.mark.parametrize("block", ["paused endpoint", "permit of another provider", "no route"])
async def test_a_job_that_cannot_be_called_now_gives_its_claim_back(database, redis, block):
    provider = Provider(JSON, [ANSWER])
    places = (("gone", "acme/small"),) if block == "no route" else (ALPHA,)
    job_id = submit_job(database, places=places)
    async with worker_of(provider, database, redis) as runner:
        if block == "paused endpoint":
            runner.pacing.throttles.add_pause(ALPHA, 30, now_ms(), PauseReason.RETRY_AFTER)
        permit = permit_for("beta" if block == "permit of another provider" else "alpha")
        await runner.run(permit, job_id)
    job = job_row(database, job_id)
    assert (job.state, job.attempts_used) == ("queued", 0)
    assert provider.requests == 0
    assert runner.attempts.leases() == {}


async def test_a_cancelled_call_ends_the_job(database, redis):
    provider = silent()
    job_id = submit_job(database)
    async with (
        worker_of(provider, database, redis) as runner,
        running(runner, provider, job_id),
    ):
        runner.attempts.cancel(job_id, awaits_usage=False)
    assert job_row(database, job_id).state == "cancelled"
    assert attempts(database, job_id) == [(1, "cancelled")]


async def test_a_call_that_was_cancelled_may_end_in_time_to_state_its_usage(database, redis):
    provider, release = Provider(EVENTS, [CHUNK, LAST_CHUNK]), asyncio.Event()
    job_id = submit_job(database)
    original = provider._write

    async def write_late(writer, piece):
        provider.answering.set()
        await release.wait()
        await original(writer, piece)

    provider._write = write_late
    async with (
        worker_of(provider, database, redis, cancel_drain_seconds=20) as runner,
        running(runner, provider, job_id),
    ):
        runner.attempts.cancel(job_id, awaits_usage=True)
        release.set()
    assert job_row(database, job_id).state == "cancelled"
    [generation] = generations(database, job_id)
    assert (generation.output_tokens, generation.usage_estimated) == (4, False)


@pytest.mark.parametrize(
    ("on_unknown", "state"),
    [(OnUnknown.RETRY, "queued"), (OnUnknown.HOLD, "needs_review"), (OnUnknown.FAIL, "failed")],
)
async def test_a_shutdown_during_a_call_follows_on_unknown(database, redis, on_unknown, state):
    provider = silent()
    job_id = submit_job(database, on_unknown=on_unknown)
    async with (
        worker_of(provider, database, redis) as runner,
        running(runner, provider, job_id),
    ):
        runner.attempts.interrupt(streams=True)
    assert job_row(database, job_id).state == state


async def test_a_worker_that_stops_begins_no_call(database, redis):
    provider = Provider(JSON, [ANSWER])
    job_id = submit_job(database, on_unknown=OnUnknown.HOLD)
    async with worker_of(provider, database, redis) as runner:
        runner.attempts.interrupt(streams=True)
        await runner.run(permit_for(), job_id)
    assert provider.requests == 0
    assert job_row(database, job_id).state == "queued"


async def test_an_attempt_whose_lease_is_lost_records_nothing(database, redis):
    provider = silent()
    job_id = submit_job(database)
    async with (
        worker_of(provider, database, redis) as runner,
        running(runner, provider, job_id),
    ):
        rescue(database, now=now_ms() + LEASE + 1)
        runner.attempts.stop_lost(job_id)
    assert attempts(database, job_id) == [(1, "unknown")]


async def test_a_silent_provider_is_given_up_after_the_first_byte_timeout(database, redis):
    provider = silent()
    job_id = submit_job(database, on_unknown=OnUnknown.FAIL)
    async with worker_of(provider, database, redis, idle_timeout_seconds=1) as runner:
        await runner.run(permit_for(), job_id)
    assert job_row(database, job_id).state == "failed"
    assert attempts(database, job_id) == [(1, "unknown")]
