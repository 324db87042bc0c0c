"""Provider limits for one job: call now, defer the job, or move it on; learn from answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from broker.clock import now_ms
from broker.completion import AttemptAnswer, ErrorType, Failure, Json
from broker.dispatch.publisher import Publisher
from broker.lifecycle import ClaimedJob, Deferral, defer_many
from broker.providers.endpoint_stats import EndpointKey, PauseReason
from broker.providers.pacing import Busy, Cause, Pacer, Permit, Throttles, exchange_pauses
from broker.providers.pauses import LivePauses
from broker.queues import Lane, choose_lane
from broker.requests import token_estimates
from broker.routing.waiting import Congestion, build_absent
from broker.storage.database import Database
from workers.adapters.errors.retry_after import until_reset
from workers.provider_routes import ProviderRoute

EXCHANGE_SECONDS = 0.5  # between two exchanges of pauses

ENDPOINT_FAILURES = frozenset(
    {
        ErrorType.PROVIDER_OVERLOADED,
        ErrorType.PROVIDER_UNAVAILABLE,
        ErrorType.SERVER,
        ErrorType.TIMEOUT,
        ErrorType.UNMAPPED,
    }
)
"""Failures whose `Retry-After` concerns all requests. That of others concerns their own request."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pacing:
    """The limits and pauses of providers, as this process applies them to its jobs."""

    database: Database
    redis: Redis
    publisher: Publisher
    routes: Mapping[str, ProviderRoute]
    pacer: Pacer
    throttles: Throttles
    pauses: LivePauses
    likely_tokens: int  # of an answer, see `Settings.likely_completion_tokens`

    async def defer_if_blocked(self, permit: Permit, job: ClaimedJob) -> bool:
        """Defer a claimed job whose endpoint is paused or not configured. Return whether it was.

        A job whose permit is for another provider is deferred, too. A duplicate message can bring
        it after its plan has moved on.
        """
        provider = job.endpoint.provider
        busy = (
            self._find_pause(job) if provider in self.routes else build_absent(provider, now_ms())
        )
        if busy is None and provider == permit.provider:
            return False
        await self.defer(Lane(choose_lane(job.lane)), job.id, busy, attempt=job.attempt)
        return True

    async def defer(
        self, lane: Lane, job_id: str, busy: Busy | None, *, attempt: int | None = None
    ) -> None:
        """Let a job wait in the database, or move it to a plan step that is free sooner.

        `attempt` is the number of the claim that is taken back, if the job was claimed.
        """
        now = now_ms()
        request = Deferral(job_id, now, busy, self.congestion(lane, now), attempt)
        moved = await self.database.write_grouped(defer_many, request)
        if moved is not None:
            self.publisher.publish(moved.provider, moved.lane, [moved.job_id])

    def congestion(self, lane: Lane, now: int) -> Congestion:
        """Return what this process knows to be busy at `now` (Unix ms)."""
        pauses = self.throttles.find_busy(now)
        return Congestion(
            {**self.pacer.find_denials(lane, now), **self.pauses.find_busy(now)},
            {endpoint: _pause(endpoint, until) for endpoint, until in pauses.items()},
            configured=frozenset(self.routes),
        )

    def expect(self, permit: Permit, body: Json) -> None:
        """Count the likely tokens of a request, if the provider's tokens are limited."""
        if self.pacer.counts_tokens(permit.provider):
            output = token_estimates.requested_output_tokens(body, likely=self.likely_tokens)
            tokens = token_estimates.estimate_input_tokens(body) + min(output, self.likely_tokens)
            self.pacer.recount(permit, tokens)

    @contextmanager
    def count_call(self, job: ClaimedJob) -> Iterator[None]:
        """Count a call of the job's endpoint for the block."""
        self.throttles.record_start(job.endpoint.key)
        try:
            yield
        finally:
            self.throttles.record_end(job.endpoint.key)

    def learn(self, permit: Permit, job: ClaimedJob, answer: AttemptAnswer) -> None:
        """Apply what the end of an attempt shows about the limits of its endpoint."""
        endpoint = job.endpoint.key
        is_shared = not job.endpoint.is_byok  # pauses concern the installation's account
        if not isinstance(answer, Failure):
            self.throttles.record_success(endpoint, now_ms())
            if answer.usage is not None:
                tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
                self.pacer.recount(permit, tokens)
        elif answer.error_type is ErrorType.RATE_LIMIT_EXCEEDED and is_shared:
            until = self.throttles.record_rate_limit(endpoint, answer.retry_after, now_ms())
            log.info("endpoint.rate_limited", provider=endpoint[0], model=endpoint[1], until=until)
        elif answer.retry_after and is_shared and answer.error_type in ENDPOINT_FAILURES:
            reason = PauseReason.RETRY_AFTER
            self.throttles.add_pause(endpoint, answer.retry_after, now_ms(), reason)

    def pause_if_exhausted(self, job: ClaimedJob, headers: Mapping[str, str]) -> None:
        """Pause an endpoint if the headers of a good answer say that its limit is used up.

        The headers of a refusal are read with it, because there `Retry-After` has priority.
        """
        reset = until_reset(headers)
        if reset is not None and not job.endpoint.is_byok:
            self.throttles.add_pause(job.endpoint.key, reset, now_ms(), PauseReason.EXHAUSTED)

    async def share_pauses(self) -> None:
        """Exchange pauses with the other processes once."""
        now = now_ms()
        known = await exchange_pauses(self.redis, self.throttles.take_new_pauses(), now)
        self.throttles.merge_pauses(known, now)

    def _find_pause(self, job: ClaimedJob) -> Busy | None:
        """Return the operator's pause of the job's provider, or the pause of its endpoint."""
        now = now_ms()
        if job.endpoint.provider in self.pauses:
            return self.pauses.find_busy(now)[job.endpoint.provider]
        if job.endpoint.is_byok:  # endpoints are paused for the installation's account
            return None
        until = self.throttles.free_at(job.endpoint.key, now)
        return None if until <= now else _pause(job.endpoint.key, until)


def _pause(endpoint: EndpointKey, until: int) -> Busy:
    provider, model = endpoint
    return Busy(provider, Cause.PROVIDER_PAUSE, until, model)
