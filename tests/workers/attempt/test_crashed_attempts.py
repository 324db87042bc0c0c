"""An error of our own after the provider was called ends the attempt: it is not bought again."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError
from sqlalchemy import select

from broker.clock import now_ms
from broker.completion import AttemptOutcome, Completion, ErrorType, Failure, Usage
from broker.native_batches import Called
from broker.providers.pacing import Permit
from broker.queues import Lane
from broker.settings import Settings
from broker.storage.tables import Attempt, Generation, Job
from tests.factories import make_principal, submit, submit_and_claim
from workers.adapters.errors.classification import redact_failure
from workers.attempt import execution, recording
from workers.attempt.cost import AttemptCost
from workers.attempt.execution import run_job
from workers.context import Lanes
from workers.native_batches import booking

ANSWER = Completion(
    [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}],
    Usage(input=3, output=4),
)
ERRORS = [RecursionError("deep"), ZeroDivisionError("secret"), AssertionError(), MemoryError()]


class Tools(SimpleNamespace):
    """A worker's tools for one job, with the calls that its provider got."""

    def __init__(self, database):
        nothing = lambda *_, **__: None  # noqa: E731
        super().__init__(
            database=database,
            settings=Settings(),
            worker_id="worker-1",
            lanes=Lanes(),
            held={},
            called_off={},
            running={},
            streaming=set(),
            stopping=asyncio.Event(),
            sandbox=None,
            redis=None,
            events=SimpleNamespace(emit=nothing, remember=nothing),
            publisher=SimpleNamespace(publish=nothing),
            recorder=SimpleNamespace(count_deviation=nothing),
            calls=0,
        )


async def _same(_sandbox, _run, answer):
    return answer


async def _none(*_):
    return None


@pytest.fixture
def stub(monkeypatch):
    """Stand in for pacing, observation and the provider."""
    monkeypatch.setattr(
        execution,
        "pacing",
        SimpleNamespace(
            defer_if_blocked=_none,
            expect=lambda *_: None,
            count_call=lambda *_: contextlib.nullcontext(),
            learn=lambda *_: None,
        ),
    )

    async def call(tools, run):
        tools.calls += 1
        run.watch.sent = True
        return ANSWER

    monkeypatch.setattr(execution, "skip_open_circuits", _none)
    monkeypatch.setattr(execution, "record_outcome", lambda *_: None)
    monkeypatch.setattr(execution, "repair_answer", _same)
    monkeypatch.setattr(execution, "_call", call)
    return monkeypatch


def _break(monkeypatch, stage, error):
    def crash(*_, **__):
        raise error

    async def crash_later(*_, **__):
        raise error

    async def call(tools, run):
        tools.calls += 1
        run.watch.sent = True
        raise error

    match stage:
        case "reading":
            monkeypatch.setattr(execution, "_call", call)
        case "learning":
            monkeypatch.setattr(execution.pacing, "learn", crash)
        case "observing":
            monkeypatch.setattr(execution, "record_outcome", crash)
        case "healing":
            monkeypatch.setattr(execution, "repair_answer", crash_later)
        case "receipt":
            monkeypatch.setattr(AttemptCost, "of", crash)
        case "recording":
            monkeypatch.setattr(recording.Envelope, "body", crash)


async def _run(tools, job_id):
    await run_job(tools, Permit("p", Lane.INTERACTIVE, 0.0, 0), job_id)


def _rows(database, *columns):
    return database.read_now(lambda connection: connection.execute(select(*columns)).all())


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "stage", ["reading", "learning", "observing", "healing", "receipt", "recording"]
)
async def test_an_error_after_the_call_is_recorded_and_not_bought_again(
    database, stub, stage, error
):
    job_id = submit(database, make_principal(database), now=now_ms(), max_attempts=3)
    tools = Tools(database)
    _break(stub, stage, error)
    await _run(tools, job_id)
    await _run(tools, job_id)  # a doubled message finds nothing to do
    assert tools.calls == 1
    assert [tuple(row) for row in _rows(database, Attempt.outcome, Attempt.error_type)] == [
        ("unknown", "server")
    ]
    [(state, told)] = _rows(database, Job.state, Job.error)
    assert state == "failed"
    assert "secret" not in str(told)
    is_billed = stage not in ("reading", "receipt")
    assert len(_rows(database, Generation.id)) == is_billed


async def test_an_error_over_a_line_of_a_batch_ends_that_line(database, monkeypatch):
    job = submit_and_claim(database, make_principal(database))

    async def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(booking, "repair_answer", crash)
    monkeypatch.setattr(booking, "_read", lambda *_: ANSWER)
    await booking.book_answer(Tools(database), None, Called(job, now_ms(), called_off=False), b"{}")
    assert _rows(database, Attempt.outcome, Attempt.error_type) == [("unknown", "server")]
    assert _rows(database, Job.state) == [("queued",)]


async def test_without_an_error_the_answer_is_recorded(database, stub):
    job_id = submit(database, make_principal(database), now=now_ms())
    tools = Tools(database)
    await _run(tools, job_id)
    assert _rows(database, Attempt.outcome) == [("ok",)]


async def test_a_failure_of_the_provider_stays_what_it_is(database, stub):
    refusal = Failure(AttemptOutcome.REJECTED, ErrorType.INVALID_REQUEST, "No such parameter.")

    async def refuse(_tools, run):
        run.watch.sent = True
        return refusal

    job_id = submit(database, make_principal(database), now=now_ms())
    stub.setattr(execution, "_call", refuse)
    _break(stub, "observing", AssertionError())
    await _run(Tools(database), job_id)
    assert _rows(database, Attempt.error_type) == [("invalid_request",)]


async def test_an_attempt_stays_open_while_redis_is_away(database, stub):
    job_id = submit(database, make_principal(database), now=now_ms())
    _break(stub, "healing", RedisError("away"))
    with pytest.raises(RedisError):
        await _run(Tools(database), job_id)
    assert _rows(database, Job.state) == [("running",)]


@pytest.mark.parametrize("code", [0, 0xD800, 0xDFFF])
def test_texts_of_failures_can_be_stored(code):
    text = f"a{chr(code)}b"
    failure = Failure(AttemptOutcome.REJECTED, ErrorType.SERVER, text, provider_code=text, raw=text)
    cleaned = redact_failure(failure)
    assert {cleaned.message, cleaned.provider_code, cleaned.raw} == {"a\ufffdb"}
