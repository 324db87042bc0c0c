"""Build the parts of a worker process from its context."""

from dataclasses import dataclass

from broker.background import Service
from broker.providers.pacing import Throttles
from workers.attempt.attachments import Attachments
from workers.attempt.credentials import CallCredentials
from workers.attempt.endpoint_stats import OutcomeRecorder
from workers.attempt.execution import JobRunner
from workers.attempt.ocr import OcrCalls
from workers.attempt.open_circuits import CircuitCheck
from workers.attempt.pacing import Pacing
from workers.attempt.provider_calls import ProviderCalls
from workers.attempt.recording import Recording
from workers.attempt.running_attempts import RunningAttempts
from workers.context import WorkerContext
from workers.media.fetching import MediaMemory
from workers.native_batches import NativeBatchKeeper
from workers.native_batches.booking import LineBooking
from workers.native_batches.step import StepTools
from workers.services.batches import BatchKeeper
from workers.services.dispatcher import Dispatcher
from workers.services.evaluations import EvaluationKeeper
from workers.services.grading import CONNECTIONS, Graders
from workers.services.leader_election import LeaderElection
from workers.services.retention import RetentionService
from workers.services.webhook_delivery import MOST_LANES, Deliverer
from workers.services.webhook_request import HeaderSigner, WebhookClient


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts that jobs and services share."""

    pacing: Pacing
    attachments: Attachments
    recording: Recording


def build_shared_parts(context: WorkerContext) -> SharedParts:
    """Return the parts that jobs and services of this process share."""
    settings, database = context.settings, context.database
    return SharedParts(
        Pacing(
            database=database,
            redis=context.redis,
            publisher=context.publisher,
            routes=context.routes,
            pacer=context.pacer,
            throttles=Throttles(),
            pauses=context.pauses,
            likely_tokens=settings.likely_completion_tokens,
        ),
        Attachments(
            settings=settings,
            fetch=context.fetch,
            sandbox=context.sandbox,
            ocr_sandbox=context.ocr_sandbox,
            ocr_calls=OcrCalls(settings, database, context.client, context.routes),
            memory=MediaMemory(settings.worker_media_bytes),
        ),
        Recording(
            settings=settings,
            database=database,
            files=context.files,
            events=context.events,
            publisher=context.publisher,
            recorder=context.recorder,
        ),
    )


def build_job_runner(context: WorkerContext, shared: SharedParts) -> JobRunner:
    """Return the part that runs jobs."""
    settings, database, redis = context.settings, context.database, context.redis
    routes, recorder, observer = context.routes, context.recorder, context.observer
    credentials = CallCredentials(database, context.credentials)
    return JobRunner(
        worker_id=context.worker_id,
        settings=settings,
        database=database,
        redis=redis,
        events=context.events,
        attempts=RunningAttempts(),
        pacing=shared.pacing,
        circuits=CircuitCheck(redis, observer, routes),
        calls=ProviderCalls(
            database=database,
            client=context.client,
            routes=routes,
            credentials=credentials,
            attachments=shared.attachments,
            pacing=shared.pacing,
            recorder=recorder,
            max_answer_bytes=settings.max_answer_bytes,
        ),
        outcomes=OutcomeRecorder(database, redis, recorder, observer, routes, credentials),
        sandbox=context.sandbox,
        recording=shared.recording,
    )


def build_services(context: WorkerContext, shared: SharedParts) -> list[Service]:
    """Return the services of a worker or dispatcher process.

    Several processes may run them. They elect a leader, or take each step under a lease.
    """
    return [
        *_build_dispatcher(context, shared).services(),
        *_build_batch_keeper(context).services(),
        *_build_evaluation_keeper(context).services(),
        *_build_native_batch_keeper(context, shared).services(),
        *_build_retention(context).services(),
    ]


def build_deliverer(context: WorkerContext) -> Deliverer:
    """Return the part that sends webhook deliveries."""
    settings = context.settings
    return Deliverer(
        owner=context.worker_id,
        database=context.database,
        signer=HeaderSigner(context.database, context.encryption),
        client=WebhookClient(settings, connections=MOST_LANES),
        republish=context.publisher.publish_deliveries,
        shutdown_seconds=settings.soft_shutdown_seconds,
    )


def _build_dispatcher(context: WorkerContext, shared: SharedParts) -> Dispatcher:
    return Dispatcher(
        election=_build_election(context, "dispatcher"),
        database=context.database,
        redis=context.redis,
        publisher=context.publisher,
        limiter=context.limiter,
        routes=context.routes,
        pauses=context.pauses,
        pacing=shared.pacing,
    )


def _build_batch_keeper(context: WorkerContext) -> BatchKeeper:
    return BatchKeeper(
        _build_election(context, "batches"),
        context.settings,
        context.database,
        context.files,
        redis=context.redis,
        limiter=context.limiter,
        credentials=context.credentials,
        observer=context.observer,
    )


def _build_evaluation_keeper(context: WorkerContext) -> EvaluationKeeper:
    graders = Graders(
        context.database,
        context.sandbox,
        WebhookClient(context.settings, connections=CONNECTIONS),
        HeaderSigner(context.database, context.encryption),
    )
    return EvaluationKeeper(
        _build_election(context, "evaluations"),
        context.settings,
        context.database,
        context.files,
        graders,
    )


def _build_native_batch_keeper(context: WorkerContext, shared: SharedParts) -> NativeBatchKeeper:
    booking = LineBooking(context.redis, context.events, context.sandbox, shared.recording)
    tools = StepTools(
        settings=context.settings,
        database=context.database,
        routes=context.routes,
        http=context.client.client,
        attachments=shared.attachments,
        booking=booking,
    )
    return NativeBatchKeeper(tools, context.pauses)


def _build_retention(context: WorkerContext) -> RetentionService:
    return RetentionService(
        election=_build_election(context, "forgetting"),
        settings=context.settings,
        database=context.database,
        redis=context.redis,
        files=context.files,
    )


def _build_election(context: WorkerContext, role: str) -> LeaderElection:
    return LeaderElection(context.redis, role, context.worker_id)
