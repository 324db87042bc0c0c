"""Commit an attempt's result, then publish it."""

import asyncio
from functools import partial
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import DataError, OperationalError

from broker.clock import now_ms
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
from broker.enums import JobState
from broker.ids import generation_id
from broker.jobs.states import TERMINAL
from broker.lifecycle import (
    ClaimedJob,
    Ending,
    Extension,
    Failed,
    Finished,
    decide,
    error_json,
    extend_many,
    needs_extension,
    record_many,
)
from broker.lifecycle.retries import Decision, GiveUp, Retry
from broker.queues import Lane
from broker.routing import cache_affinity
from broker.storage import files
from broker.usage import GenerationRow
from workers.adapters.errors.classification import redact_failure
from workers.attempt.cost import AttemptCost, bill_unanswered
from workers.attempt.job_run import JobRun
from workers.attempt.response_bodies import Envelope
from workers.attempt.retry_until_stored import retry_until_stored
from workers.context import WorkerContext

UNSTORABLE = (TypeError, OverflowError, DataError)
"""Errors of JSON and the databases for a value that they cannot store."""

log = structlog.get_logger()


async def finish(
    context: WorkerContext, run: JobRun, answer: Completion | Document
) -> Failure | None:
    """Store the answer with its cost and settlement, then publish its end.

    An answer that cannot be stored is the provider's failure: it is returned as one.
    """
    try:
        ending = await _ending(context, run, answer)
        recorded = await record(context, ending)
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


async def _ending(context: WorkerContext, run: JobRun, answer: Completion | Document) -> Finished:
    """Prepare the record and the events of an attempt with an answer."""
    job = run.job
    receipt = AttemptCost.of(
        job, run.request, answer, batched=run.batched, fee=context.settings.byok_fee_percent
    )
    if receipt.deviates:
        context.recorder.count_deviation(job.endpoint.key)
    _remember(context, job, receipt.usage)
    saved = await _keep_media(context, job, answer)
    envelope = Envelope.of(job)
    response = orjson.dumps(envelope.body(answer, receipt))
    if job.stream:
        run.events.usage(envelope.usage_chunk(receipt, apart=run.usage_apart))
    run.events.end(
        "completed",
        _facts(job),
        response=None if job.stream else response,
    )
    return Finished(
        job=job,
        now=now_ms(),
        generation=receipt.generation(job, answer, run.timings),
        response=response,
        timings=run.timings,
        events=run.events.pack(),
        files=saved,
    )


def _facts(job: ClaimedJob) -> Json:
    """Return the fields of the last event of a job with a generation."""
    return {"generation_id": generation_id(job.id), "queued_ms": job.queued_ms}


def _remember(context: WorkerContext, job: ClaimedJob, usage: Usage) -> None:
    """Note which endpoint's cache holds this conversation now."""
    if not cache_affinity.used_cache(usage, job.request):
        return
    key = cache_affinity.key(job.workspace_id, orjson.loads(job.request))
    if key is not None:
        endpoint = cache_affinity.value(*job.endpoint.key)
        context.events.remember(key, endpoint, seconds=cache_affinity.IDLE_SECONDS)


async def record(context: WorkerContext, ending: Ending) -> Ending | None:
    """Write how an attempt ended; return what was written, None where it is no longer the job's.

    While the database does not answer this keeps trying, as long as the lease it cannot renew.
    """
    patient = ending.job.lane != Lane.INTERACTIVE
    recorded = await retry_until_stored(
        lambda: context.database.write_grouped(record_many, ending, patient=patient),
        OperationalError,
        seconds=context.settings.lease_seconds,
    )
    if recorded is None:
        log.warning("attempt.superseded", job=ending.job.id, attempt=ending.job.attempt)
    return recorded


async def _keep_media(
    context: WorkerContext, job: ClaimedJob, answer: Completion | Document
) -> list[dict[str, Any]]:
    """Write the bytes an answer refers to, before anybody hears of it; return their rows."""
    if isinstance(answer, Completion):
        return []
    for media in answer.media:  # paid for: however long a full disk takes to have room again
        await retry_until_stored(
            partial(asyncio.to_thread, _save, context, media),
            OSError,
            seconds=context.settings.lease_seconds,
        )
    now = now_ms()
    return [
        files.row(media, workspace_id=job.workspace_id, job_id=job.id, now=now)
        for media in answer.media
    ]


def _save(context: WorkerContext, media: Media) -> None:
    try:
        context.files.save(media)
    except OSError as error:
        log.warning("media.not_written", media=media.id, error=str(error))
        raise


async def fail(context: WorkerContext, run: JobRun, failure: Failure) -> None:
    """Record a failed attempt and do what follows: queue it again, or end the job."""
    job = run.job
    decided = decide(job, failure, now_ms(), shown=run.events.shown)
    affordable = await _affordable(context, job, failure, decided)
    decision = await record_failure(context, run, failure, affordable)
    if decision is None:
        return
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
        context.publisher.publish(provider, job.lane, [job.id])


async def record_failure(
    context: WorkerContext,
    run: JobRun,
    failure: Failure,
    decision: Decision,
    *,
    announced: bool = True,
) -> Decision | None:
    """Write an attempt without an answer and what follows, then publish it; None as in `record`.

    Returned is what does follow: a caller may have cancelled the job since `decision` was made.
    """
    job, failure = run.job, redact_failure(failure)
    generation = None
    if isinstance(decision, GiveUp) and decision.state in TERMINAL:
        generation = _bill(context, run, failure)
    _prepare(run, failure, decision, generation)
    events = None if isinstance(decision, Retry) else run.events.pack()
    recorded = await record(
        context,
        Failed(
            job, now_ms(), failure, decision, run.timings, events, generation, announced=announced
        ),
    )
    if not isinstance(recorded, Failed):
        return None
    if recorded.decision != decision:
        run.events.discard_pending()
        _prepare(run, failure, recorded.decision, generation)
    run.events.publish_pending()
    return recorded.decision


def _bill(context: WorkerContext, run: JobRun, failure: Failure) -> GenerationRow | None:
    """Return the generation that is paid for; nothing where its cost cannot be computed.

    An attempt that stays open for that reason would be bought again.
    """
    try:
        return bill_unanswered(run, failure, context.settings.byok_fee_percent)
    except Exception:
        log.exception("attempt.unbillable", job=run.job.id, attempt=run.job.attempt)
        return None


def _prepare(
    run: JobRun, failure: Failure, decision: Decision, generation: GenerationRow | None
) -> None:
    """Prepare the events of an attempt without an answer."""
    if isinstance(decision, Retry):
        run.events.retrying(failure, decision, run.job.plan[decision.position])
        return
    facts = {} if generation is None else _facts(run.job)
    run.events.end(decision.state.value, facts, error=error_json(run.job, failure))


async def _affordable(
    context: WorkerContext, job: ClaimedJob, failure: Failure, decision: Decision
) -> Decision:
    """Hold more where the next endpoint is dearer; what cannot be paid for is passed over."""
    if not isinstance(decision, Retry) or not needs_extension(job, decision):
        return decision
    request = Extension(job, failure, decision, now_ms())
    return await context.database.write_grouped(extend_many, request)
