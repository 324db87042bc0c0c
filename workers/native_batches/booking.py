"""Record one line's result as any attempt's: answered, back to its ordinary lane, or ended."""

from dataclasses import dataclass, replace
from typing import ClassVar

import orjson
import structlog

from broker.clock import now_ms
from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    Completion,
    ErrorType,
    Failure,
    Json,
    Timings,
)
from broker.enums import JobState
from broker.lifecycle import decide
from broker.lifecycle.retries import Decision, GiveUp, Retry
from broker.native_batches import Called
from broker.pricing import BATCH_TIER
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.attempt.events import AttemptEvents
from workers.attempt.execution import crash_failure
from workers.attempt.job_run import JobRun, request_of
from workers.attempt.json_repair import repair_answer
from workers.attempt.recording import finish, record_failure
from workers.attempt.retry_until_stored import OUT_OF_SERVICE
from workers.context import WorkerContext
from workers.provider_routes import ProviderRoute
from workers.upstream.answer_body import Deadlines, Stopwatch, find_usage
from workers.upstream.client import SHAPE_ERRORS

NOT_IN_TIME = Failure(
    AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, "The provider took no batch with it in time."
)
UNCONFIRMED_CREATION = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider may have accepted the batch, but never said so.",
)
NO_STATUS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider did not say how far the batch was until its time was up.",
)
NO_RESULTS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider ended the batch and did not hand out its results; it may have billed them.",
)
NEVER_ENDED = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.TIMEOUT,
    "The provider did not end the batch in time; what it had done may have been billed.",
)
GONE_UPSTREAM = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider knows the batch no longer; what it had done may have been billed.",
)


CANCELLED = Failure(AttemptOutcome.CANCELLED, ErrorType.CANCELLED, "Cancelled by the caller.")
TOO_LATE = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.TIMEOUT,
    "The job's deadline passed while it was in the provider's batch.",
)

log = structlog.get_logger()


@dataclass(slots=True)
class BatchedRun(JobRun):
    """A job whose attempt was a line of a provider's batch."""

    took_ms: int = 0
    batched: ClassVar[bool] = True

    @property
    def timings(self) -> Timings:
        return Timings(None, self.took_ms)


async def book_answer(
    context: WorkerContext, route: ProviderRoute, called: Called, answer: bytes
) -> None:
    """Record what the provider answered to this line; what cannot be read falls back.

    So does a line over which an unexpected error is raised: the batch's other lines go on.
    """
    run = await _run(context, called)
    try:
        read = await repair_answer(context.sandbox, run, _read(run, route, answer))
        failure = read if isinstance(read, Failure) else await finish(context, run, read)
    except OUT_OF_SERVICE:
        raise
    except Exception:
        log.exception("native_batch.line_crashed", job=run.job.id)
        run.events.discard_pending()
        failure = crash_failure(run, None)
    if failure is not None:
        await _end(context, run, failure, Retry(0))


async def fall_back(context: WorkerContext, called: Called, failure: Failure) -> None:
    """Send a job that the batch did not answer to its ordinary lane, to the start of its plan."""
    await _end(context, await _run(context, called), failure, Retry(0))


async def end_early(context: WorkerContext, called: Called) -> None:
    """End a job that its caller called off, or whose time is up, while the provider has it."""
    failure = CANCELLED if called.called_off else TOO_LATE
    state = JobState.CANCELLED if called.called_off else JobState.EXPIRED
    await _end(context, await _run(context, called), failure, GiveUp(state))


async def apply_unknown_policy(context: WorkerContext, called: Called, failure: Failure) -> None:
    """Do what the job's `on_unknown` says of a request that was sent and perhaps billed."""
    await _end(context, await _run(context, called), failure, decide(called.job, failure, now_ms()))


async def _run(context: WorkerContext, called: Called) -> BatchedRun:
    job = called.job
    body: Json = orjson.loads(job.request)
    return BatchedRun(
        job,
        request_of(job, body),
        await AttemptEvents.open(job, context.events, context.redis),
        Stopwatch(Deadlines(0, 0, 0)),  # the call itself was not ours to time
        took_ms=max(now_ms() - called.began_at, 0),
    )


def _read(run: JobRun, route: ProviderRoute, answer: bytes) -> AttemptAnswer:
    adapter = route.adapter(run.job.operation)
    assert adapter is not None  # it built the line
    try:
        request = replace(run.request, quirks=route.upstream.quirks)
        read = adapter.read_response(answer, request)
    except ProviderFailureError as error:
        return error.failure
    except (MalformedAnswerError, *SHAPE_ERRORS) as error:
        log.warning("native_batch.misshapen_answer", job=run.job.id, error=str(error)[:200])
        return Failure(
            AttemptOutcome.UNKNOWN,
            ErrorType.PROVIDER_UNAVAILABLE,
            f"{run.job.endpoint.provider} sent an answer of an unknown shape.",
            answered=True,
            usage=adapter.read_usage(find_usage(answer, adapter.usage_name)),
        )
    return replace(read, service_tier=BATCH_TIER) if isinstance(read, Completion) else read


async def _end(context: WorkerContext, run: JobRun, failure: Failure, decision: Decision) -> None:
    """Record an attempt without an answer; the dispatcher publishes what is queued again."""
    await record_failure(context, run, failure, decision, announced=False)
