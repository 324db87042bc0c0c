"""Write the end of an attempt to the database, then publish it."""

import asyncio
from dataclasses import dataclass
from functools import partial

import orjson
import structlog
from sqlalchemy.exc import DataError, OperationalError

from broker.clock import now_ms, seconds
from broker.completion import (
    AttemptOutcome,
    Completion,
    Document,
    ErrorType,
    Failure,
    Json,
    Media,
    Usage,
)
from broker.dispatch.publisher import Publisher
from broker.enums import JobState
from broker.events.job_events import EventWriter
from broker.ids import generation_id
from broker.jobs.states import TERMINAL
from broker.lifecycle import (
    ClaimedJob,
    Ending,
    Extension,
    Failed,
    Finished,
    decide,
    encode_failure,
    extend_many,
    needs_extension,
    record_many,
)
from broker.lifecycle.retries import Decision, GiveUp, Retry
from broker.providers.health import Recorder
from broker.queues import Lane
from broker.routing import cache_affinity
from broker.settings import Settings
from broker.storage import files
from broker.storage.database import Database
from broker.storage.files import FileRow, FileStore
from broker.usage import GenerationRow
from workers.adapters.errors.classification import redact_failure
from workers.attempt.cost import AttemptCost, bill_unanswered
from workers.attempt.job_run import JobRun
from workers.attempt.response_bodies import Envelope
from workers.attempt.retry_until_stored import retry_until_stored

UNSTORABLE = (TypeError, OverflowError, DataError)
"""Errors of JSON and of the databases for a value that cannot be stored."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recording:
    """Writes and publishes the ends of this process's attempts."""

    settings: Settings
    database: Database
    files: FileStore
    events: EventWriter
    publisher: Publisher
    recorder: Recorder

    async def finish(self, run: JobRun, answer: Completion | Document) -> Failure | None:
        """Store the answer with its cost and settlement, then publish the end of the job.

        An answer that cannot be stored is a failure of the provider, which is returned.
        """
        try:
            recorded = await self.record(await self._prepare_answer(run, answer))
        except UNSTORABLE as error:
            log.warning("answer.unstorable", job=run.job.id, error=str(error)[:500])
            run.events.discard_pending()
            return Failure(
                AttemptOutcome.UNKNOWN,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"{run.job.endpoint.provider} sent an answer that cannot be stored.",
                answered=True,
                usage=answer.usage,
            )
        if recorded:
            run.events.publish_pending()
        return None

    async def fail(self, run: JobRun, failure: Failure) -> Decision | None:
        """Record a failed attempt, and queue the job again or end it.

        Returns the decision that was carried out, or None for a job that another attempt runs.
        """
        job = run.job
        decided = decide(job, failure, now_ms(), shown=run.events.shown)
        affordable = await self._extend_hold(job, failure, decided)
        decision = await self.record_failure(run, failure, affordable)
        if decision is None:
            return None
        log.info(
            "attempt.failed",
            job=job.id,
            attempt=job.attempt,
            provider=job.endpoint.provider,
            outcome=failure.outcome.value,
            error_type=failure.error_type.value,
            next=JobState.QUEUED if isinstance(decision, Retry) else decision.state,
        )
        if isinstance(decision, Retry) and not decision.delay:
            provider = job.plan[decision.position].provider
            self.publisher.publish(provider, job.lane, [job.id])
        return decision

    async def record_failure(
        self, run: JobRun, failure: Failure, decision: Decision, *, announced: bool = True
    ) -> Decision | None:
        """Write and publish an attempt without an answer. Return the decision that was carried out.

        It differs from `decision` if the caller has cancelled the job since. None means that the
        attempt was no longer the job's, see `record`.
        """
        job, failure = run.job, redact_failure(failure)
        generation = None
        if isinstance(decision, GiveUp) and decision.state in TERMINAL:
            generation = self._bill(run, failure)
        _prepare_failure(run, failure, decision, generation)
        events = None if isinstance(decision, Retry) else run.events.pack()
        ending = Failed(
            job,
            now_ms(),
            failure,
            decision,
            run.timings,
            events,
            generation,
            announced=announced,
            upstream_id=run.assembly.upstream_id if run.assembly else None,
        )
        recorded = await self.record(ending)
        if not isinstance(recorded, Failed):
            return None
        if recorded.decision != decision:
            run.events.discard_pending()
            _prepare_failure(run, failure, recorded.decision, generation)
        run.events.publish_pending()
        return recorded.decision

    async def record(self, ending: Ending) -> Ending | None:
        """Write the end of an attempt and return what was written.

        None means that the attempt is no longer the job's. While the database does not answer, the
        write is tried again for the time of a lease, which cannot be renewed meanwhile.
        """
        low_priority = ending.job.lane != Lane.INTERACTIVE
        recorded = await retry_until_stored(
            lambda: self.database.write_grouped(record_many, ending, low_priority=low_priority),
            OperationalError,
            seconds=self.settings.lease_seconds,
        )
        if recorded is None:
            log.warning("attempt.superseded", job=ending.job.id, attempt=ending.job.attempt)
        return recorded

    async def save_media(self, job: ClaimedJob, answer: Completion | Document) -> list[FileRow]:
        """Write the bytes of an answer to the file store, and return their rows.

        The answer is paid for, so a full disk is tried again for the time of a lease.
        """
        if isinstance(answer, Completion):
            return []
        for media in answer.media:
            await retry_until_stored(
                partial(asyncio.to_thread, self._save, media),
                OSError,
                seconds=self.settings.lease_seconds,
            )
        now = now_ms()
        return [
            files.row(media, workspace_id=job.workspace_id, job_id=job.id, now=now)
            for media in answer.media
        ]

    async def _prepare_answer(self, run: JobRun, answer: Completion | Document) -> Finished:
        """Prepare the record and the events of an attempt with an answer."""
        job = run.job
        receipt = AttemptCost.of(
            job, run.request, answer, batched=run.batched, fee=self.settings.byok_fee_percent
        )
        if receipt.deviates:
            self.recorder.count_deviation(job.endpoint.key)
        self._remember_cache(job, receipt.usage)
        saved = await self.save_media(job, answer)
        envelope = Envelope.of(job)
        response = orjson.dumps(envelope.body(answer, receipt))
        if job.stream:
            for chunk in envelope.last_chunks(
                answer, receipt, apart=run.usage_apart, shown=run.events.shown
            ):
                run.events.usage(chunk)
        now = now_ms()
        facts = _facts(job) | {"completed_at": seconds(now)}
        run.events.end("completed", facts, response=None if job.stream else response)
        return Finished(
            job=job,
            now=now,
            generation=receipt.generation(job, answer, run.timings),
            response=response,
            timings=run.timings,
            events=run.events.pack(),
            files=saved,
        )

    def _remember_cache(self, job: ClaimedJob, usage: Usage) -> None:
        """Remember which endpoint has this conversation in its prompt cache."""
        if not cache_affinity.used_cache(usage, job.request):
            return
        key = cache_affinity.build_key(job.workspace_id, orjson.loads(job.request))
        if key is not None:
            endpoint = cache_affinity.encode_value(*job.endpoint.key)
            self.events.set_key(key, endpoint, seconds=cache_affinity.IDLE_SECONDS)

    def _save(self, media: Media) -> None:
        try:
            self.files.save(media)
        except OSError as error:
            log.warning("media.not_written", media=media.id, error=str(error))
            raise

    def _bill(self, run: JobRun, failure: Failure) -> GenerationRow | None:
        """Return the generation that is charged, or None if its cost cannot be computed.

        An error here must not leave the attempt open, because it would be made and paid again.
        """
        try:
            return bill_unanswered(run, failure, self.settings.byok_fee_percent)
        except Exception:
            log.exception("attempt.unbillable", job=run.job.id, attempt=run.job.attempt)
            return None

    async def _extend_hold(self, job: ClaimedJob, failure: Failure, decision: Decision) -> Decision:
        """Hold more for a more expensive endpoint; endpoints that cannot be paid are left out."""
        if not isinstance(decision, Retry) or not needs_extension(job, decision):
            return decision
        request = Extension(job, failure, decision, now_ms())
        return await self.database.write_grouped(extend_many, request)


def _prepare_failure(
    run: JobRun, failure: Failure, decision: Decision, generation: GenerationRow | None
) -> None:
    """Prepare the events of an attempt without an answer."""
    if isinstance(decision, Retry):
        run.events.retrying(failure, decision, run.job.plan[decision.position])
        return
    facts = {} if generation is None else _facts(run.job)
    run.events.end(decision.state.value, facts, error=encode_failure(run.job, failure))


def _facts(job: ClaimedJob) -> Json:
    """Return the fields of the last event of a job with a generation."""
    facts = {"generation_id": generation_id(job.id), "queued_ms": job.queued_ms}
    return facts | {"attempt": job.attempt}
