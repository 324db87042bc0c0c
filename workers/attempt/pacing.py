"""Provider limits for one job: send it now, defer it, or move it on; learn from answers."""

import contextlib
from collections.abc import Iterator, Mapping

import structlog

from broker.clock import now_ms
from broker.completion import AttemptAnswer, ErrorType, Failure, Json
from broker.lifecycle import ClaimedJob, Deferral, defer_many
from broker.providers.endpoint_stats import EndpointKey, PauseReason
from broker.providers.pacing import Busy, Cause, Permit, exchange_pauses
from broker.queues import Lane, ordinary
from broker.requests import token_estimates
from broker.routing.waiting import Congestion, absent
from workers.adapters.errors.retry_after import until_reset
from workers.context import WorkerContext

EXCHANGE_SECONDS = 0.5

OF_THE_ENDPOINT = frozenset(
    {
        ErrorType.PROVIDER_OVERLOADED,
        ErrorType.PROVIDER_UNAVAILABLE,
        ErrorType.SERVER,
        ErrorType.TIMEOUT,
        ErrorType.UNMAPPED,
    }
)
"""Failures whose `Retry-After` holds for everybody. That of any other is for its own request."""

log = structlog.get_logger()


async def defer_if_blocked(context: WorkerContext, permit: Permit, job: ClaimedJob) -> bool:
    """Put a claimed job off whose endpoint is paused or gone, or that came by another's queue.

    The latter happens with doubled messages: the permit in hand is not for the job's provider.
    """
    provider = job.endpoint.provider
    busy = _find_pause(context, job) if provider in context.routes else absent(provider, now_ms())
    if busy is None and provider == permit.provider:
        return False
    await defer(context, Lane(ordinary(job.lane)), job.id, busy, attempt=job.attempt)
    return True


def _find_pause(context: WorkerContext, job: ClaimedJob) -> Busy | None:
    """Return what keeps a job from its endpoint: an operator, or what 429s and headers said."""
    now = now_ms()
    if job.endpoint.provider in context.pauses:
        return context.pauses.find_busy(now)[job.endpoint.provider]
    if job.endpoint.is_byok:  # what is learned concerns the installation's account
        return None
    until = context.throttles.free_at(job.endpoint.key, now)
    return None if until <= now else _pause(job.endpoint.key, until)


def _pause(endpoint: EndpointKey, until: int) -> Busy:
    provider, model = endpoint
    return Busy(provider, Cause.PROVIDER_PAUSE, until, model)


async def defer(
    context: WorkerContext,
    lane: Lane,
    job_id: str,
    busy: Busy | None,
    *,
    attempt: int | None = None,
) -> None:
    """Let a job wait in the database, or send it to an endpoint of its plan that is free sooner.

    `attempt` is that of its claim, where it was claimed already: it is taken back.
    """
    now = now_ms()
    request = Deferral(job_id, now, busy, congestion(context, lane, now), attempt)
    moved = await context.database.write_grouped(defer_many, request)
    if moved is not None:
        context.publisher.publish(moved.provider, moved.lane, [moved.job_id])


def congestion(context: WorkerContext, lane: Lane, now: int) -> Congestion:
    """Return what this process knows to be busy."""
    pauses = context.throttles.find_busy(now)
    return Congestion(
        {**context.pacer.find_denials(lane, now), **context.pauses.find_busy(now)},
        {endpoint: _pause(endpoint, until) for endpoint, until in pauses.items()},
        configured=frozenset(context.routes),
    )


def expect(context: WorkerContext, permit: Permit, body: Json) -> None:
    """Count what a request will probably use, where the provider's tokens are limited."""
    if context.pacer.counts_tokens(permit.provider):
        likely = context.settings.likely_completion_tokens
        asked = token_estimates.requested_output_tokens(body, likely=likely)
        context.pacer.recount(
            permit, token_estimates.estimate_input_tokens(body) + min(asked, likely)
        )


@contextlib.contextmanager
def count_call(context: WorkerContext, job: ClaimedJob) -> Iterator[None]:
    """Count a call of the job's endpoint for as long as this lasts."""
    context.throttles.record_start(job.endpoint.key)
    try:
        yield
    finally:
        context.throttles.record_end(job.endpoint.key)


def learn(context: WorkerContext, permit: Permit, job: ClaimedJob, answer: AttemptAnswer) -> None:
    """Take to heart what an attempt's end says about its endpoint's limits."""
    endpoint = job.endpoint.key
    is_ours = not job.endpoint.is_byok  # pauses are of the installation's account
    if not isinstance(answer, Failure):
        context.throttles.record_success(endpoint, now_ms())
        if answer.usage is not None:
            tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
            context.pacer.recount(permit, tokens)
    elif answer.error_type is ErrorType.RATE_LIMIT_EXCEEDED and is_ours:
        until = context.throttles.record_rate_limit(endpoint, answer.retry_after, now_ms())
        log.info("endpoint.rate_limited", provider=endpoint[0], model=endpoint[1], until=until)
    elif answer.retry_after and is_ours and answer.error_type in OF_THE_ENDPOINT:
        reason = PauseReason.RETRY_AFTER
        context.throttles.add_pause(endpoint, answer.retry_after, now_ms(), reason)


def pause_if_exhausted(context: WorkerContext, job: ClaimedJob, headers: Mapping[str, str]) -> None:
    """Pause an endpoint of whose limit a good answer's headers say that nothing is left.

    The headers of a refusal are read with it: there `Retry-After` wins.
    """
    reset = until_reset(headers)
    if reset is not None and not job.endpoint.is_byok:
        context.throttles.add_pause(job.endpoint.key, reset, now_ms(), PauseReason.EXHAUSTED)


async def share_pauses(context: WorkerContext) -> None:
    """Exchange pauses with the other processes, once."""
    now = now_ms()
    known = await exchange_pauses(context.redis, context.throttles.take_new_pauses(), now)
    context.throttles.merge_pauses(known, now)
