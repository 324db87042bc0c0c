"""One job, one attempt, step by step: claim, call, decide, record, publish."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import orjson
import structlog

from broker.clock import now_ms
from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    Chunk,
    Completion,
    Document,
    ErrorType,
    Failure,
    Json,
)
from broker.enums import OnUnknown
from broker.lifecycle import Claim, ClaimedJob, claim_many
from broker.providers.pacing import Permit
from broker.queues import Lane
from broker.requests.operations import Operation
from broker.requests.plugins import read_file_parser
from workers.adapters.base import Adapter, Upstream
from workers.adapters.errors.classification import redact_failure
from workers.attempt import credentials, pacing
from workers.attempt.cost import may_hide
from workers.attempt.endpoint_stats import record_outcome
from workers.attempt.events import AttemptEvents
from workers.attempt.job_run import JobRun, request_of
from workers.attempt.json_repair import repair_answer
from workers.attempt.open_circuits import skip_open_circuits
from workers.attempt.recording import fail, finish
from workers.attempt.response_bodies import Envelope
from workers.attempt.retry_until_stored import OUT_OF_SERVICE
from workers.attempt.usage_counts import credible
from workers.context import WorkerContext
from workers.media import Annotator, create_pdf_reader, prepare, refuse_private_urls
from workers.media.fetching import MediaReservation, body_size
from workers.media.preparation import most_fetched
from workers.operations.base import OperationAdapter
from workers.provider_routes import ProviderRoute
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import call

log = structlog.get_logger()


async def run_job(context: WorkerContext, permit: Permit, job_id: str) -> None:
    """Claim a job, make one attempt, record what came of it. Quiet when it is not ours to run."""
    async with context.lanes.turn(permit.lane):
        job = await claim(context, job_id, permit.lane)
    if job is None:
        return
    with hold_lease(context, job):
        if await pacing.defer_if_blocked(context, permit, job):
            return
        run = await open_events(context, job)
        pacing.expect(context, permit, run.request.body)
        failure = await _carry_out(context, permit, run)
        if failure is not None:
            await fail(context, run, failure)


async def _carry_out(context: WorkerContext, permit: Permit, run: JobRun) -> Failure | None:
    """Call the provider and store its answer; return the failure where there is none.

    An unexpected error after the request was sent is such a failure: an attempt that stays open is
    made again, and paid again.
    """
    answer: AttemptAnswer | None = None
    try:
        with pacing.count_call(context, run.job):
            answer = await skip_open_circuits(context, run) or await attempt(context, run)
            pacing.learn(context, permit, run.job, answer)
        record_outcome(context, run, answer)
        answer = await repair_answer(context.sandbox, run, answer)
        return answer if isinstance(answer, Failure) else await finish(context, run, answer)
    except OUT_OF_SERVICE:
        raise
    except Exception:
        if not run.watch.sent:
            raise
        log.exception("attempt.crashed", job=run.job.id, attempt=run.job.attempt)
        run.events.discard_pending()
        return answer if isinstance(answer, Failure) else crash_failure(run, answer)


def crash_failure(run: JobRun, answer: Completion | Document | None) -> Failure:
    """Return the failure of a call whose answer could not be handled here."""
    source = answer or run.assembly
    return Failure(
        AttemptOutcome.UNKNOWN,
        ErrorType.SERVER,
        f"The answer of {run.job.endpoint.provider} could not be processed.",
        answered=True,
        usage=credible(source.usage) if source else None,
    )


@contextlib.contextmanager
def hold_lease(context: WorkerContext, job: ClaimedJob) -> Iterator[None]:
    """Keep the job's lease alive, and be open to its cancellation, for as long as this lasts."""
    context.held[job.id] = job.attempt
    try:
        yield
    finally:
        if context.held.get(job.id) == job.attempt:  # not a later attempt in this process
            del context.held[job.id]
            context.called_off.pop(job.id, None)


async def claim(context: WorkerContext, job_id: str, lane: Lane) -> ClaimedJob | None:
    lease_ms = int(context.settings.lease_seconds * 1000)
    request = Claim(job_id, context.worker_id, now_ms(), lease_ms)
    return await context.database.write_grouped(claim_many, request, patient=lane is Lane.BATCH)


async def open_events(context: WorkerContext, job: ClaimedJob) -> JobRun:
    """Open the job's event log at this attempt."""
    body: Json = orjson.loads(job.request)
    request = request_of(job, body)
    events = await AttemptEvents.open(job, context.events, context.redis)
    watch = Stopwatch(_deadlines(context, job))
    options = body.get("stream_options") or {}
    return JobRun(
        job,
        request,
        events,
        watch,
        plugins=body.get("plugins"),
        usage_apart=bool(options.get("include_usage")),
    )


def _deadlines(context: WorkerContext, job: ClaimedJob) -> Deadlines:
    settings = context.settings
    left = (job.deadline_at - now_ms()) / 1000
    return Deadlines(
        first_byte=settings.first_byte_timeout_seconds,
        idle=settings.idle_timeout_seconds,
        total=max(min(settings.total_timeout_seconds, left), 0.0),
    )


async def attempt(context: WorkerContext, run: JobRun) -> AttemptAnswer:
    """Call the provider, in a task of its own: the only part of a run that can be stopped."""
    job = run.job
    if context.stopping.is_set() or job.id in context.called_off:
        return _stop_failure(context, job, sent=False)
    task = asyncio.create_task(_call(context, run))
    context.running[job.id] = stoppable = asyncio.shield(task)
    try:
        return _redact(await stoppable)
    except asyncio.CancelledError:
        run.last = await _stop_call(context, run, task)
        if run.last is not None and job.id not in context.called_off:
            return _redact(run.last)  # it ended just as it was to be stopped
        return _stop_failure(context, job, sent=run.watch.sent)
    finally:
        task.cancel()
        if context.running.get(job.id) in {task, stoppable}:  # not a later attempt of the same job
            del context.running[job.id]
            context.streaming.discard(job.id)


def _redact(answer: AttemptAnswer) -> AttemptAnswer:
    return redact_failure(answer) if isinstance(answer, Failure) else answer


async def _stop_call(
    context: WorkerContext, run: JobRun, task: "asyncio.Task[AttemptAnswer]"
) -> AttemptAnswer | None:
    """Stop a call; one that is cancelled may first bring the usage that its provider will bill."""
    job = run.job
    waits = context.called_off.get(job.id, False) and may_hide(job) and job.hold_nanos > 0
    if waits and run.watch.sent:
        context.running[job.id] = task
        await asyncio.wait({task}, timeout=context.settings.cancel_drain_seconds)
    task.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


async def _call(context: WorkerContext, run: JobRun) -> AttemptAnswer:
    """Send the request. A stream's chunks are published as they come."""
    endpoint = run.job.endpoint
    route = context.routes.get(endpoint.provider)
    if route is None:
        return Failure(
            AttemptOutcome.NOT_SENT,
            ErrorType.PROVIDER_UNAVAILABLE,
            f"Provider {endpoint.provider!r} is not configured at this worker.",
        )
    upstream = credentials.upstream_of(context, run.job, route)
    if isinstance(upstream, Failure):
        return upstream
    adapter = route.adapter(run.job.operation)
    if adapter is None:
        return _unserved_failure(run.job)
    run.request = replace(run.request, quirks=upstream.quirks)
    async with _reserve_memory(context, run) as reservation:
        annotator = await _fit(context, run, route, reservation)
        if isinstance(annotator, Failure):
            return annotator
        refused = await refuse_private_urls(
            run.request.body, upstream.base_url, context.settings.allowed_networks, route.chat.opens
        )
        if refused is not None:
            return refused
        answer = await _send_prepared(context, run, adapter, upstream, annotator)
        return annotator.answer(replace(answer, usage=credible(answer.usage)))


def _reserve_memory(
    context: WorkerContext, run: JobRun
) -> AbstractAsyncContextManager[MediaReservation | None]:
    """Wait for room for a call's body, and for all that may be fetched for it."""
    size = body_size(run.job.request)
    if run.job.operation is Operation.CHAT:
        size += most_fetched(run.request.body, context.settings.max_media_bytes)
    if not size:
        return contextlib.nullcontext()
    return context.media_room.hold(run.job.workspace_id, size)


async def _send_prepared(
    context: WorkerContext,
    run: JobRun,
    adapter: Adapter | OperationAdapter,
    upstream: Upstream,
    annotator: Annotator,
) -> AttemptAnswer:
    """Send what was prepared."""
    envelope = Envelope.of(run.job)

    def show(chunk: Chunk) -> None:
        if run.job.stream and run.job.id not in context.called_off:
            # an answer may come as a stream although none was requested
            run.events.chunk(envelope.chunk(annotator.chunk(chunk)))
            context.streaming.add(run.job.id)

    run.assembly = Assembly(show)
    with context.recorder.in_flight(run.job.endpoint.key):
        return await call(
            context.wire,
            adapter,
            run.request,
            upstream,
            run.watch,
            max_bytes=context.settings.max_answer_bytes,
            on_headers=lambda headers: pacing.pause_if_exhausted(context, run.job, headers),
            assembly=run.assembly,
        )


async def _fit(
    context: WorkerContext, run: JobRun, route: ProviderRoute, reservation: MediaReservation | None
) -> Annotator | Failure:
    """Make a chat's body fit the endpoint. The text of its files is returned with the answer."""
    if run.job.operation is not Operation.CHAT:
        return Annotator(())
    prepared = await prepare(
        run.request.body,
        modalities=run.job.endpoint.input_modalities,
        adapter=route.chat,
        fetch=context.fetch,
        read_pdf=create_pdf_reader(context.sandbox, run.job.workspace_id),
        parser=read_file_parser(run.plugins),
        quirks=route.upstream.quirks,
    )
    if isinstance(prepared, Failure):
        return prepared
    run.request = replace(run.request, body=prepared.body)
    if reservation is not None:
        reservation.shrink(body_size(run.job.request) + prepared.fetched)
    return Annotator(prepared.annotations)


def _unserved_failure(job: ClaimedJob) -> Failure:
    return Failure(
        AttemptOutcome.NOT_SENT,
        ErrorType.NOT_FOUND,
        f"Provider {job.endpoint.provider!r} does not serve {job.operation.value}.",
    )


def _stop_failure(context: WorkerContext, job: ClaimedJob, *, sent: bool) -> Failure:
    """Return the failure of an attempt that a cancellation or a shutdown stopped.

    A shutdown after the request was sent leaves its billing open, as silence does: who asked not to
    be tried again after that is not.
    """
    if job.id in context.called_off:
        return Failure(AttemptOutcome.CANCELLED, ErrorType.CANCELLED, "Cancelled by the caller.")
    if sent and job.on_unknown is not OnUnknown.RETRY:
        message = "The worker was shut down while it waited for the provider's answer."
        return Failure(AttemptOutcome.UNKNOWN, ErrorType.WORKER_LOST, message)
    return Failure(AttemptOutcome.INTERRUPTED, ErrorType.WORKER_LOST, "The worker was shut down.")
