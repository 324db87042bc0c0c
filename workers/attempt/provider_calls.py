"""The call to the provider of an attempt: the credential, the attachments, the request."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import OperationalError

from broker.clock import now_ms
from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    BackgroundAnswer,
    Chunk,
    Document,
    ErrorType,
    Failure,
)
from broker.lifecycle import BegunAnswer, ClaimedJob, store_begun_answers
from broker.providers.health import Recorder
from broker.requests.operations import PICTURES
from broker.storage.database import Database
from workers.adapters.base import Adapter, Upstream
from workers.attempt.attachments import Attachments
from workers.attempt.credentials import CallCredentials
from workers.attempt.job_run import JobRun
from workers.attempt.pacing import Pacing
from workers.attempt.response_bodies import Envelope
from workers.attempt.usage_counts import credible
from workers.media import Annotator, Prepared
from workers.media.fetching import body_size
from workers.media.links import fetch_pictures
from workers.operations.base import OperationAdapter
from workers.provider_routes import ProviderRoute
from workers.upstream.assembly import Assembly
from workers.upstream.client import ProviderClient, call
from workers.upstream.handover import Handover
from workers.upstream.provider_call import ProviderCall

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProviderCalls:
    """Calls the providers of attempts."""

    database: Database
    client: ProviderClient
    routes: Mapping[str, ProviderRoute]
    credentials: CallCredentials
    attachments: Attachments
    pacing: Pacing
    recorder: Recorder
    max_answer_bytes: int

    async def call(self, run: JobRun) -> AttemptAnswer:
        """Send the request of an attempt and return its answer.

        The chunks of a stream are published as they arrive.
        """
        job = run.job
        route = self.routes.get(job.endpoint.provider)
        if route is None:
            return Failure(
                AttemptOutcome.NOT_SENT,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"Provider {job.endpoint.provider!r} is not configured at this worker.",
            )
        upstream = self.credentials.upstream_for(job, route)
        if isinstance(upstream, Failure):
            return upstream
        adapter = route.adapter(job.operation, job.endpoint.interface)
        if adapter is None:
            return _unserved_failure(job)
        run.request = replace(run.request, quirks=upstream.quirks)
        async with self.attachments.reserve(job, run.request.body) as reservation:
            prepared = await self._fit(run, route)
            if isinstance(prepared, Failure):
                return prepared
            run.job = replace(run.job, ocr_nanos=run.job.ocr_nanos + prepared.ocr_nanos)
            run.request = replace(run.request, body=prepared.body)
            if reservation is not None:
                reservation.shrink(body_size(job.request) + prepared.fetched)
            annotator = Annotator(prepared.annotations)
            answer = await self._send(run, adapter, upstream, annotator)
            if isinstance(answer, Document) and job.operation in PICTURES:
                answer = await fetch_pictures(answer, self.attachments.fetch)
            return annotator.answer(replace(answer, usage=credible(answer.usage)))

    async def _fit(self, run: JobRun, route: ProviderRoute) -> Prepared | Failure:
        """Adapt the body to its endpoint, until the deadline of the job at most."""
        job = run.job
        try:
            async with asyncio.timeout(max(job.deadline_at - now_ms(), 0) / 1000):
                return await self.attachments.fit(job, run.request.body, run.plugins, route)
        except TimeoutError:
            return Failure(
                AttemptOutcome.NOT_SENT,
                ErrorType.TIMEOUT,
                "The job's deadline passed while its documents were read.",
            )

    async def _send(
        self,
        run: JobRun,
        adapter: Adapter | OperationAdapter,
        upstream: Upstream,
        annotator: Annotator,
    ) -> AttemptAnswer:
        job, envelope = run.job, Envelope.of(run.job)

        def show(chunk: Chunk) -> None:
            # a provider may stream an answer that was not requested as a stream
            if job.stream and not run.handle.is_cancelled:
                run.events.chunk(envelope.chunk(annotator.chunk(chunk)))
                run.handle.is_streaming = True

        def read_limits(headers: Mapping[str, str]) -> None:
            self.pacing.pause_if_exhausted(job, headers)

        async def store(answer: BackgroundAnswer) -> None:
            await self._store(run, answer)

        if isinstance(adapter, OperationAdapter) and not adapter.streams:
            run.request = replace(run.request, stream=False)
        run.assembly = Assembly(show)
        with self.recorder.in_flight(job.endpoint.key):
            return await call(
                ProviderCall(
                    self.client.send,
                    adapter,
                    run.request,
                    upstream,
                    run.watch,
                    max_bytes=self.max_answer_bytes,
                    on_headers=read_limits,
                    assembly=run.assembly,
                    handover=Handover(job.background, store, lambda: run.handle.goes_on),
                )
            )

    async def _store(self, run: JobRun, answer: BackgroundAnswer) -> None:
        """Store an answer in the background, so that the next attempt can fetch it.

        Without the database the call goes on; `on_unknown` then decides if this worker is lost.
        """
        job = run.job
        try:
            begun = BegunAnswer(job.id, job.attempt, answer)
            await self.database.write_grouped(store_begun_answers, begun)
        except OperationalError as error:
            log.warning("background.not_stored", job=job.id, error=str(error)[:500])
        else:
            run.handle.background = answer


def _unserved_failure(job: ClaimedJob) -> Failure:
    return Failure(
        AttemptOutcome.NOT_SENT,
        ErrorType.NOT_FOUND,
        f"Provider {job.endpoint.provider!r} does not serve {job.operation.value}.",
    )
