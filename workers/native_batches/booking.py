"""Record the result of a line as the end of its attempt: answered, returned, or ended."""

from dataclasses import dataclass, replace
from typing import ClassVar

import orjson
import structlog
from redis.asyncio import Redis

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
from broker.events.job_events import EventWriter
from broker.lifecycle import decide
from broker.lifecycle.retries import Decision, GiveUp, Retry
from broker.native_batches import Called
from broker.pricing import BATCH_TIER
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.attempt.events import AttemptEvents
from workers.attempt.execution import crash_failure
from workers.attempt.job_run import JobRun, build_completion_request
from workers.attempt.json_repair import repair_answer
from workers.attempt.recording import Recording
from workers.attempt.retry_until_stored import OUT_OF_SERVICE
from workers.attempt.running_attempts import AttemptHandle
from workers.provider_routes import ProviderRoute
from workers.sandbox.pool import Sandbox
from workers.upstream.answer_body import Deadlines, Stopwatch, find_usage
from workers.upstream.provider_call import SHAPE_ERRORS

NOT_IN_TIME = Failure(
    AttemptOutcome.NOT_SENT,
    ErrorType.TIMEOUT,
    "The provider accepted no batch with this job in time.",
)
UNCONFIRMED_CREATION = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider may have accepted the batch, but did not confirm it.",
)
NO_STATUS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider did not report the progress of the batch before its time was over.",
)
NO_RESULTS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider ended the batch and did not return its results; it may have billed them.",
)
NEVER_ENDED = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.TIMEOUT,
    "The provider did not end the batch in time; it may have billed a part.",
)
GONE_UPSTREAM = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider no longer knows the batch; it may have billed a part.",
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


@dataclass(frozen=True, slots=True)
class LineBooking:
    """Records the results of lines as the ends of their attempts."""

    redis: Redis
    events: EventWriter
    sandbox: Sandbox
    recording: Recording

    async def book_answer(self, route: ProviderRoute, called: Called, answer: bytes) -> None:
        """Record the provider's answer to a line. An answer that cannot be read falls back.

        So does a line that causes an unexpected error: the other lines of the batch go on.
        """
        run = await self._open(called)
        try:
            read = await repair_answer(self.sandbox, run, _read(run, route, answer))
            failure = read if isinstance(read, Failure) else await self.recording.finish(run, read)
        except OUT_OF_SERVICE:
            raise
        except Exception:
            log.exception("native_batch.line_crashed", job=run.job.id)
            run.events.discard_pending()
            failure = crash_failure(run, None)
        if failure is not None:
            await self._end(run, failure, Retry(0))

    async def fall_back(self, called: Called, failure: Failure) -> None:
        """Return a job that the batch did not answer to its ordinary lane and first plan step."""
        await self._end(await self._open(called), failure, Retry(0))

    async def end_early(self, called: Called) -> None:
        """End a job that was cancelled, or whose deadline has passed, while it is in the batch."""
        failure = CANCELLED if called.called_off else TOO_LATE
        state = JobState.CANCELLED if called.called_off else JobState.EXPIRED
        await self._end(await self._open(called), failure, GiveUp(state))

    async def apply_unknown_policy(self, called: Called, failure: Failure) -> None:
        """Apply the job's `on_unknown` to a request that was sent and is perhaps billed."""
        run = await self._open(called)
        await self._end(run, failure, decide(called.job, failure, now_ms()))

    async def _open(self, called: Called) -> BatchedRun:
        job = called.job
        body: Json = orjson.loads(job.request)
        return BatchedRun(
            job,
            build_completion_request(job, body),
            await AttemptEvents.open(job, self.events, self.redis),
            Stopwatch(Deadlines(0, 0, 0)),  # the provider makes the call
            AttemptHandle(job.attempt),
            took_ms=max(now_ms() - called.began_at, 0),
        )

    async def _end(self, run: JobRun, failure: Failure, decision: Decision) -> None:
        """Record an attempt without an answer; the dispatcher publishes what is queued again."""
        await self.recording.record_failure(run, failure, decision, announced=False)


def _read(run: JobRun, route: ProviderRoute, answer: bytes) -> AttemptAnswer:
    adapter = route.adapter(run.job.operation, run.job.endpoint.interface)
    assert adapter is not None  # it has built the line
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
