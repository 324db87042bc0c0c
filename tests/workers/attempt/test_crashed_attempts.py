"""An error of our own after the provider was called ends the attempt: it is not bought again."""

import pytest
from redis.exceptions import RedisError
from sqlalchemy import select

from broker.clock import now_ms
from broker.completion import AttemptOutcome, Completion, ErrorType, Failure, Usage
from broker.native_batches import Called
from broker.settings import Settings
from broker.storage.tables import Attempt, Generation, Job
from tests.factories import make_principal, submit, submit_and_claim
from tests.workers.parts import SentEvents, make_recording, permit_for, runner_of
from workers.adapters.errors.classification import redact_failure
from workers.attempt import execution, recording
from workers.attempt.cost import AttemptCost
from workers.attempt.endpoint_stats import OutcomeRecorder
from workers.attempt.pacing import Pacing
from workers.attempt.provider_calls import ProviderCalls
from workers.native_batches import booking
from workers.native_batches.booking import LineBooking

ANSWER = Completion(
    [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}],
    Usage(input=3, output=4),
)
ERRORS = [RecursionError("deep"), ZeroDivisionError("secret"), AssertionError(), MemoryError()]


class Worker:
    """A worker whose provider is a function, with the number of its calls."""

    def __init__(self, runner, monkeypatch):
        self._runner = runner
        self.patch = monkeypatch.setattr
        self.calls = 0
        self.answer(ANSWER)

    def answer(self, answer):
        """Let the provider answer with this, or raise it."""

        async def call(_calls, run):
            self.calls += 1
            run.watch.sent = True
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.patch(ProviderCalls, "call", call)

    def fail_at(self, stage, error):
        """Raise an error at a step of each attempt."""

        def crash(*_, **__):
            raise error

        async def crash_later(*_, **__):
            raise error

        match stage:
            case "calling":
                self.answer(error)
            case "learning":
                self.patch(Pacing, "learn", crash)
            case "observing":
                self.patch(OutcomeRecorder, "record", crash)
            case "repairing":
                self.patch(execution, "repair_answer", crash_later)
            case "billing":
                self.patch(AttemptCost, "of", crash)
            case "recording":
                self.patch(recording.Envelope, "body", crash)

    async def run(self, job_id):
        await self._runner.run(permit_for("alpha"), job_id)


@pytest.fixture
async def worker(database, redis, monkeypatch):
    async with runner_of(database, redis, Settings()) as runner:
        yield Worker(runner, monkeypatch)


def _rows(database, *columns):
    return database.read_now(lambda connection: connection.execute(select(*columns)).all())


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "stage", ["calling", "learning", "observing", "repairing", "billing", "recording"]
)
async def test_an_error_after_the_call_is_recorded_and_not_bought_again(
    database, worker, stage, error
):
    job_id = submit(database, make_principal(database), now=now_ms(), max_attempts=3)
    worker.fail_at(stage, error)
    await worker.run(job_id)
    await worker.run(job_id)  # a duplicate message finds nothing to do
    assert worker.calls == 1
    assert [tuple(row) for row in _rows(database, Attempt.outcome, Attempt.error_type)] == [
        ("unknown", "server")
    ]
    [(state, stored)] = _rows(database, Job.state, Job.error)
    assert state == "failed"
    assert "secret" not in str(stored)
    is_billed = stage not in ("calling", "billing")
    assert len(_rows(database, Generation.id)) == is_billed


async def test_an_error_over_a_line_of_a_batch_ends_that_line(database, monkeypatch):
    job = submit_and_claim(database, make_principal(database))

    async def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(booking, "repair_answer", crash)
    monkeypatch.setattr(booking, "_read", lambda *_: ANSWER)
    line_booking = LineBooking(None, SentEvents(), None, make_recording(database))
    await line_booking.book_answer(None, Called(job, now_ms(), called_off=False), b"{}")
    assert _rows(database, Attempt.outcome, Attempt.error_type) == [("unknown", "server")]
    assert _rows(database, Job.state) == [("queued",)]


async def test_without_an_error_the_answer_is_recorded(database, worker):
    job_id = submit(database, make_principal(database), now=now_ms())
    await worker.run(job_id)
    assert _rows(database, Attempt.outcome) == [("ok",)]


async def test_a_failure_of_the_provider_stays_what_it_is(database, worker):
    refusal = Failure(AttemptOutcome.REJECTED, ErrorType.INVALID_REQUEST, "No such parameter.")
    job_id = submit(database, make_principal(database), now=now_ms())
    worker.answer(refusal)
    worker.fail_at("observing", AssertionError())
    await worker.run(job_id)
    assert _rows(database, Attempt.error_type) == [("invalid_request",)]


async def test_an_attempt_stays_open_while_redis_is_away(database, worker):
    job_id = submit(database, make_principal(database), now=now_ms())
    worker.fail_at("repairing", RedisError("away"))
    with pytest.raises(RedisError):
        await worker.run(job_id)
    assert _rows(database, Job.state) == [("running",)]


@pytest.mark.parametrize("code", [0, 0xD800, 0xDFFF])
def test_texts_of_failures_can_be_stored(code):
    text = f"a{chr(code)}b"
    failure = Failure(AttemptOutcome.REJECTED, ErrorType.SERVER, text, provider_code=text, raw=text)
    cleaned = redact_failure(failure)
    assert {cleaned.message, cleaned.provider_code, cleaned.raw} == {"a\ufffdb"}
