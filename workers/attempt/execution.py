"""One job, one attempt, step by step: claim, call, decide, record, publish."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import orjson
import structlog
from redis.asyncio import Redis

from broker.clock import now_ms
from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    Completion,
    Document,
    ErrorType,
    Failure,
    Json,
)
from broker.enums import OnUnknown
from broker.events.job_events import EventWriter
from broker.lifecycle import Claim, ClaimedJob, claim_many
from broker.providers.pacing import Permit
from broker.queues import Lane
from broker.settings import Settings
from broker.storage.database import Database
from workers.adapters.errors.classification import redact_failure
from workers.attempt.cost import may_hide
from workers.attempt.endpoint_stats import OutcomeRecorder
from workers.attempt.events import AttemptEvents
from workers.attempt.job_run import JobRun, build_completion_request
from workers.attempt.json_repair import repair_answer
from workers.attempt.open_circuits import CircuitCheck
from workers.attempt.pacing import Pacing
from workers.attempt.provider_calls import ProviderCalls
from workers.attempt.recording import Recording
from workers.attempt.results import JobResult, find_result
from workers.attempt.retry_until_stored import OUT_OF_SERVICE
from workers.attempt.running_attempts import AttemptHandle, RunningAttempts
from workers.attempt.usage_counts import credible
from workers.sandbox.pool import Sandbox
from workers.upstream.answer_body import Deadlines, Stopwatch

BATCH_CLAIMS = 32
"""Batch jobs that are claimed at the same time. More of them would delay interactive jobs, because
all share one event loop and one writer to the database."""

log = structlog.get_logger()


class ClaimLimits:
    """Limits the claims of batch jobs that run at the same time. Interactive jobs do not wait."""

    def __init__(self) -> None:
        self._batch = asyncio.Semaphore(BATCH_CLAIMS)

    def acquire(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        """Wait until a job of this lane may be claimed, for the block."""
        return nullcontext() if lane is Lane.INTERACTIVE else self._batch


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs in this process: claims each, makes one attempt, and records its end."""

    worker_id: str
    settings: Settings
    database: Database
    redis: Redis
    events: EventWriter
    attempts: RunningAttempts
    pacing: Pacing
    circuits: CircuitCheck
    calls: ProviderCalls
    outcomes: OutcomeRecorder
    sandbox: Sandbox
    recording: Recording
    claim_limits: ClaimLimits = field(default_factory=ClaimLimits)

    async def run(self, permit: Permit, job_id: str) -> JobResult:
        """Claim a job, make one attempt and record its end. Do nothing if the claim fails."""
        async with self.claim_limits.acquire(permit.lane):
            job = await self._claim(job_id, permit.lane)
        if job is None:
            return JobResult.SKIPPED
        with self.attempts.add(job) as handle:
            if await self.pacing.defer_if_blocked(permit, job):
                return JobResult.WAITING
            run = await self._open(job, handle)
            self.pacing.expect(permit, run.request.body)
            failure = await self._carry_out(permit, run)
            if failure is None:
                return JobResult.COMPLETED
            return find_result(await self.recording.fail(run, failure))

    async def _claim(self, job_id: str, lane: Lane) -> ClaimedJob | None:
        lease_ms = int(self.settings.lease_seconds * 1000)
        request = Claim(job_id, self.worker_id, now_ms(), lease_ms)
        return await self.database.write_grouped(
            claim_many, request, low_priority=lane is Lane.BATCH
        )

    async def _open(self, job: ClaimedJob, handle: AttemptHandle) -> JobRun:
        """Open the job's event log at this attempt."""
        body: Json = orjson.loads(job.request)
        request = build_completion_request(job, body)
        events = await AttemptEvents.open(job, self.events, self.redis)
        return JobRun(
            job,
            request,
            events,
            Stopwatch(self._deadlines(job)),
            handle,
            plugins=body.get("plugins"),
            usage_apart=_includes_usage(body),
        )

    def _deadlines(self, job: ClaimedJob) -> Deadlines:
        settings = self.settings
        left = (job.deadline_at - now_ms()) / 1000
        return Deadlines(
            first_byte=settings.first_byte_timeout_seconds,
            idle=settings.idle_timeout_seconds,
            total=max(min(settings.total_timeout_seconds, left), 0.0),
        )

    async def _carry_out(self, permit: Permit, run: JobRun) -> Failure | None:
        """Call the provider and store its answer, or return the failure.

        An unexpected error after the request was sent is a failure of the attempt. An attempt that
        stays open would be made again, and paid again.
        """
        answer: AttemptAnswer | None = None
        try:
            with self.pacing.count_call(run.job):
                answer = await self._skip_if_open(run) or await self._call(run)
                self.pacing.learn(permit, run.job, answer)
            self.outcomes.record(run, answer)
            answer = await repair_answer(self.sandbox, run, answer)
            return (
                answer if isinstance(answer, Failure) else await self.recording.finish(run, answer)
            )
        except OUT_OF_SERVICE:
            raise
        except Exception:
            if not run.watch.sent:
                raise
            log.exception("attempt.crashed", job=run.job.id, attempt=run.job.attempt)
            run.events.discard_pending()
            return answer if isinstance(answer, Failure) else crash_failure(run, answer)

    async def _skip_if_open(self, run: JobRun) -> Failure | None:
        """Check the endpoint's circuit, unless the endpoint already makes the answer."""
        return None if run.job.background else await self.circuits.skip_if_open(run)

    async def _call(self, run: JobRun) -> AttemptAnswer:
        """Call the provider in a task, which is the only part of a run that can be stopped."""
        handle = run.handle
        if self.attempts.is_stopping or handle.is_cancelled:
            return _stop_failure(run)
        task = asyncio.create_task(self.calls.call(run))
        handle.call = call = asyncio.shield(task)
        try:
            return _redact(await call)
        except asyncio.CancelledError:
            run.last = await self._stop_call(run, task)
            if run.last is not None and not handle.is_cancelled:
                return _redact(run.last)  # it ended at the moment at which it was to be stopped
            return _stop_failure(run)
        finally:
            task.cancel()
            handle.call = None
            handle.is_streaming = False

    async def _stop_call(
        self, run: JobRun, task: "asyncio.Task[AttemptAnswer]"
    ) -> AttemptAnswer | None:
        """Stop a call, and return its end if it had one.

        The provider of a cancelled call has a moment to state the usage that it will bill.
        """
        handle, job = run.handle, run.job
        awaits_usage = handle.awaits_usage and may_hide(job) and job.hold_nanos > 0
        if awaits_usage and run.watch.sent:
            handle.call = task
            await asyncio.wait({task}, timeout=self.settings.cancel_drain_seconds)
        task.cancel()
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()


def crash_failure(run: JobRun, answer: Completion | Document | None) -> Failure:
    """Return the failure of a call whose answer caused an unexpected error."""
    source = answer or run.assembly
    return Failure(
        AttemptOutcome.UNKNOWN,
        ErrorType.SERVER,
        f"The answer of {run.job.endpoint.provider} could not be processed.",
        answered=True,
        usage=credible(source.usage) if source else None,
    )


def _includes_usage(body: Json) -> bool:
    """Return whether the caller set `stream_options.include_usage`."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def _redact(answer: AttemptAnswer) -> AttemptAnswer:
    return redact_failure(answer) if isinstance(answer, Failure) else answer


def _stop_failure(run: JobRun) -> Failure:
    """Return the failure of an attempt that a cancellation or a shutdown stopped.

    After the request was sent, the provider may bill a call that a shutdown stopped. It is not
    repeated unless `on_unknown` is retry, or the next attempt fetches the same answer.
    """
    if run.handle.is_cancelled:
        return Failure(AttemptOutcome.CANCELLED, ErrorType.CANCELLED, "Cancelled by the caller.")
    is_repeated = run.job.on_unknown is OnUnknown.RETRY
    if run.watch.sent and not is_repeated and run.handle.background is None:
        message = "The worker was shut down while it waited for the provider's answer."
        return Failure(AttemptOutcome.UNKNOWN, ErrorType.WORKER_LOST, message)
    return Failure(AttemptOutcome.INTERRUPTED, ErrorType.WORKER_LOST, "The worker was shut down.")
