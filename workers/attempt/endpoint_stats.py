"""Record the outcome of an attempt in the endpoint stats and the circuit breakers."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import orjson
import structlog
from redis.asyncio import Redis

from broker import webhooks
from broker.accounts import DEFAULT_WORKSPACE
from broker.clock import now_ms
from broker.completion import AttemptAnswer, AttemptOutcome, Completion, ErrorType, Failure
from broker.providers.endpoint_stats import WHOLE_PROVIDER, EndpointKey
from broker.providers.health import (
    Breaker,
    Observation,
    Observer,
    Recorder,
    Verdict,
    breaker,
    circuits,
    judge_failure,
    refuses_credential,
)
from broker.storage.database import Database
from broker.webhooks import WebhookEvent
from workers.attempt.credentials import CallCredentials, is_account_failure
from workers.attempt.job_run import JobRun
from workers.provider_routes import ProviderRoute

DEADLINE_MARGIN_MS = 1_000
"""A timeout within this time of the job's deadline is not the fault of the endpoint."""

log = structlog.get_logger()


def judged_circuits(run: JobRun) -> list[EndpointKey]:
    """Return the circuits that this call depends on and changes: the endpoint's, the provider's.

    The circuit of a provider is about the installation's credential, so a call with a workspace
    credential has nothing to do with it.
    """
    endpoint = run.job.endpoint
    if endpoint.is_byok:
        return [endpoint.key]
    return [endpoint.key, (endpoint.provider, WHOLE_PROVIDER)]


@dataclass(frozen=True, slots=True)
class OutcomeRecorder:
    """Records the outcomes of this process's attempts for their endpoints."""

    database: Database
    redis: Redis
    recorder: Recorder
    observer: Observer
    routes: Mapping[str, ProviderRoute]
    credentials: CallCredentials

    def record(self, run: JobRun, answer: AttemptAnswer) -> None:
        """Record an attempt. Circuits are changed a moment later, so that the job does not wait."""
        was_skipped = isinstance(answer, Failure) and answer.outcome is AttemptOutcome.SKIPPED
        later = self.recorder.run_after_flush
        if run.job.endpoint.is_byok and isinstance(answer, Failure) and is_account_failure(answer):
            if not was_skipped:
                later(partial(self.credentials.record_refusal, run.job, answer))
            return
        observation = _observe(run, answer)
        if not was_skipped:
            self.recorder.record(observation)
        known, provider = self.observer.circuits, run.job.endpoint.provider
        is_disabled = bool(known.get((provider, WHOLE_PROVIDER), breaker.CLOSED).until)
        if isinstance(answer, Failure) and refuses_credential(answer) and not is_disabled:
            later(partial(self._count_refusal, provider, answer))
        for key in judged_circuits(run):
            if key in run.probes or known.get(key, breaker.CLOSED).resets_on_success:
                change = _build_change(observation, answer, key, is_probe=key in run.probes)
                later(partial(self._change_circuit, key, change))

    async def reset_changed_credentials(self) -> None:
        """Close the circuit of each provider whose credential is not the one that was refused."""
        for provider, route in self.routes.items():
            credential = fingerprint(route)
            await circuits.change(
                self.redis,
                (provider, WHOLE_PROVIDER),
                lambda known, own=credential: (  # type: ignore[misc]
                    breaker.CLOSED if known.credential not in ("", own) else known
                ),
            )

    async def _change_circuit(self, key: EndpointKey, change: Callable[[Breaker], Breaker]) -> None:
        before, after = await circuits.change(self.redis, key, change)
        if before.until and not after.until:
            log.warning("circuit.closed", provider=key[0], model=key[1])
        elif after.trips > before.trips:
            log.warning("circuit.opened", provider=key[0], model=key[1], why=after.why)

    async def _count_refusal(self, provider: str, failure: Failure) -> None:
        """Count a refusal of the installation's credential; announce the one that disables it."""
        credential = fingerprint(self.routes[provider])
        reason = f"{failure.http_status} {failure.error_type.value}: {failure.message[:200]}"
        now = now_ms()
        before, after = await circuits.change(
            self.redis,
            (provider, WHOLE_PROVIDER),
            lambda known: breaker.record_refusal(known, now, credential=credential, why=reason),
        )
        if before.until or not after.until:
            return
        log.error("provider.disabled", provider=provider, why=reason, until=after.until)
        event = WebhookEvent(
            DEFAULT_WORKSPACE,
            "provider.disabled",
            provider,
            now,
            {"provider": provider, "object": "provider", "reason": reason},
        )
        await self.database.write(webhooks.fan_out, [event])


def _observe(run: JobRun, answer: AttemptAnswer) -> Observation:
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
        tokens_per_second=_tokens_per_second(run, answer),
    )


def was_cut_by_deadline(run: JobRun, failure: Failure) -> bool:
    """Return whether the job's own deadline ended the call."""
    is_late = run.job.deadline_at - now_ms() < DEADLINE_MARGIN_MS
    return failure.error_type is ErrorType.TIMEOUT and is_late


def _tokens_per_second(run: JobRun, answer: AttemptAnswer) -> float | None:
    """Return output tokens per second, from the request to the end of the answer."""
    if not isinstance(answer, Completion) or answer.usage is None or not answer.usage.output:
        return None
    return answer.usage.output * 1000 / max(run.watch.elapsed_ms(), 1)


def _build_change(
    observation: Observation, answer: AttemptAnswer, key: EndpointKey, *, is_probe: bool
) -> Callable[[Breaker], Breaker]:
    """Return the change that an attempt makes to a circuit that is not simply closed."""
    is_bad = _is_bad(observation, answer, key)
    reason = answer.message[:200] if isinstance(answer, Failure) else ""
    retry_after_ms = observation.retry_after_ms

    def change(known: Breaker) -> Breaker:
        now = now_ms()
        if observation.verdict is Verdict.OK:  # an open circuit is tried when all others are, too
            if not known.resets_on_success:
                return known
            return breaker.record_probe(known, now, succeeded=True)
        if is_probe:
            succeeded = False if is_bad else None
            return breaker.record_probe(
                known, now, succeeded=succeeded, retry_after_ms=retry_after_ms, why=reason
            )
        return breaker.extend_open(known, now, retry_after_ms) if is_bad else known

    return change


def _is_bad(observation: Observation, answer: AttemptAnswer, key: EndpointKey) -> bool:
    """Return whether an attempt speaks against a circuit.

    Only refusals speak against a credential: a provider that answers 500 has accepted it.
    """
    if key[1] == WHOLE_PROVIDER:
        return isinstance(answer, Failure) and refuses_credential(answer)
    return observation.verdict is Verdict.FAILED


def fingerprint(route: ProviderRoute) -> str:
    """Return a short hash that differs between credentials and does not reveal them."""
    secret = orjson.dumps([route.upstream.api_key, dict(route.upstream.options)], default=str)
    return hashlib.sha256(secret).hexdigest()[:12]
