"""Record an attempt's outcome in the endpoint statistics and circuit breakers."""

import hashlib
from collections.abc import Callable
from functools import partial

import orjson
import structlog

from broker import webhooks
from broker.accounts import DEFAULT_WORKSPACE
from broker.clock import now_ms
from broker.completion import AttemptAnswer, AttemptOutcome, Completion, ErrorType, Failure
from broker.providers.endpoint_stats import WHOLE_PROVIDER, EndpointKey
from broker.providers.health import (
    Breaker,
    Observation,
    Verdict,
    breaker,
    circuits,
    judge_failure,
    refuses_credential,
)
from broker.webhooks import WebhookEvent
from workers.attempt import credentials
from workers.attempt.job_run import JobRun
from workers.context import WorkerContext
from workers.provider_routes import ProviderRoute

OWN_HASTE_MS = 1_000  # a call cut by its own job's deadline says nothing of the endpoint

log = structlog.get_logger()


def judged_circuits(run: JobRun) -> list[EndpointKey]:
    """Return whose circuits bear on this call, and hear of it: the endpoint's and the provider's.

    The latter is of the installation's key; a call with a workspace's own is none of its business.
    """
    endpoint = run.job.endpoint
    if endpoint.is_byok:
        return [endpoint.key]
    return [endpoint.key, (endpoint.provider, WHOLE_PROVIDER)]


def record_outcome(context: WorkerContext, run: JobRun, answer: AttemptAnswer) -> None:
    """Record an attempt; what changes a circuit by it is done soon, and off this job's path."""
    if (
        run.job.endpoint.is_byok
        and isinstance(answer, Failure)
        and credentials.is_about_the_account(answer)
    ):
        if not _was_skipped(answer):
            context.recorder.run_after_flush(
                partial(credentials.record_refusal, context, run.job, answer)
            )
        return
    seen = _seen(run, answer)
    if not _was_skipped(answer):
        context.recorder.record(seen)
    known, provider = context.observer.circuits, seen.endpoint[0]
    is_disabled = bool(known.get((provider, WHOLE_PROVIDER), breaker.CLOSED).until)
    if isinstance(answer, Failure) and refuses_credential(answer) and not is_disabled:
        context.recorder.run_after_flush(partial(_refused, context, provider, answer))
    for key in judged_circuits(run):
        if key in run.probes or known.get(key, breaker.CLOSED).resets_on_success:
            step = _step(seen, answer, key, run)
            context.recorder.run_after_flush(partial(_change, context, key, step))


def _was_skipped(answer: AttemptAnswer) -> bool:
    return isinstance(answer, Failure) and answer.outcome is AttemptOutcome.SKIPPED


def _seen(run: JobRun, answer: AttemptAnswer) -> Observation:
    if isinstance(answer, Failure):
        excused = was_cut_by_deadline(run, answer)
        return Observation(
            run.job.endpoint.key,
            Verdict.EXCUSED if excused else judge_failure(answer),
            kind=answer.error_type.value,
            retry_after_ms=int((answer.retry_after or 0) * 1000),
        )
    return Observation(
        run.job.endpoint.key,
        Verdict.OK,
        first_token_ms=run.watch.first_token_ms,
        tokens_per_second=_speed(run, answer),
    )


def was_cut_by_deadline(run: JobRun, failure: Failure) -> bool:
    """Return whether the job's own deadline ended the call."""
    is_late = run.job.deadline_at - now_ms() < OWN_HASTE_MS
    return failure.error_type is ErrorType.TIMEOUT and is_late


def _speed(run: JobRun, answer: AttemptAnswer) -> float | None:
    """Return output tokens per second, from the request to the end of the answer."""
    if not isinstance(answer, Completion) or answer.usage is None or not answer.usage.output:
        return None
    return answer.usage.output * 1000 / max(run.watch.elapsed_ms(), 1)


def _step(
    seen: Observation, answer: AttemptAnswer, key: EndpointKey, run: JobRun
) -> Callable[[Breaker], Breaker]:
    """Return what this attempt does to a circuit that is not simply closed."""
    is_bad = _is_bad(seen, answer, key)
    why = answer.message[:200] if isinstance(answer, Failure) else ""

    def step(known: Breaker) -> Breaker:
        now = now_ms()
        if seen.verdict is Verdict.OK:  # also one that was tried for want of a better place
            return (
                breaker.record_probe(known, now, succeeded=True)
                if known.resets_on_success
                else known
            )
        if key in run.probes:
            asked = seen.retry_after_ms
            succeeded = False if is_bad else None
            return breaker.record_probe(
                known, now, succeeded=succeeded, retry_after_ms=asked, why=why
            )
        return breaker.extend_open(known, now, seen.retry_after_ms) if is_bad else known

    return step


def _is_bad(seen: Observation, answer: AttemptAnswer, key: EndpointKey) -> bool:
    """Judge a credential by refusals only: a provider that answers 500 has accepted it."""
    if key[1] == WHOLE_PROVIDER:
        return isinstance(answer, Failure) and refuses_credential(answer)
    return seen.verdict is Verdict.FAILED


async def _change(
    context: WorkerContext, key: EndpointKey, step: Callable[[Breaker], Breaker]
) -> None:
    before, after = await circuits.change(context.redis, key, step)
    if before.until and not after.until:
        log.warning("circuit.closed", provider=key[0], model=key[1])
    elif after.trips > before.trips:
        log.warning("circuit.opened", provider=key[0], model=key[1], why=after.why)


async def _refused(context: WorkerContext, provider: str, failure: Failure) -> None:
    """Count a refusal of our credential; the one that disables it is said loudly, once."""
    credential = fingerprint(context.routes[provider])
    why = f"{failure.http_status} {failure.error_type.value}: {failure.message[:200]}"
    now = now_ms()
    before, after = await circuits.change(
        context.redis,
        (provider, WHOLE_PROVIDER),
        lambda known: breaker.record_refusal(known, now, credential=credential, why=why),
    )
    if before.until or not after.until:
        return
    log.error("provider.disabled", provider=provider, why=why, until=after.until)
    event = WebhookEvent(
        DEFAULT_WORKSPACE,
        "provider.disabled",
        provider,
        now,
        {"provider": provider, "object": "provider", "reason": why},
    )
    await context.database.write(webhooks.fan_out, [event])


async def forget_changed_credentials(context: WorkerContext) -> None:
    """Begin anew with every provider whose credential is another than the one that was refused."""
    for provider, route in context.routes.items():
        credential = fingerprint(route)
        await circuits.change(
            context.redis,
            (provider, WHOLE_PROVIDER),
            lambda known, own=credential: (  # type: ignore[misc]
                breaker.CLOSED if known.credential not in ("", own) else known
            ),
        )


def fingerprint(route: ProviderRoute) -> str:
    """Return what tells one credential from another, and tells nothing else."""
    secret = orjson.dumps([route.upstream.api_key, dict(route.upstream.options)], default=str)
    return hashlib.sha256(secret).hexdigest()[:12]
