"""Skip endpoints whose circuit breaker is open, if a later plan step is better."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.clock import now_ms
from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.providers.endpoint_stats import Circuit, EndpointKey
from broker.providers.health import Breaker, Observer, breaker, circuits
from workers.attempt.endpoint_stats import fingerprint, judged_circuits
from workers.attempt.job_run import JobRun
from workers.provider_routes import ProviderRoute

PROBE_MS = 60_000  # a probe that has not ended by then is considered lost


@dataclass(frozen=True, slots=True)
class CircuitCheck:
    """The check of circuits before a call."""

    redis: Redis
    observer: Observer
    routes: Mapping[str, ProviderRoute]

    async def skip_if_open(self, run: JobRun) -> Failure | None:
        """Return the reason to go to the next plan step at no cost; None to call this endpoint.

        An open circuit is tried if no later plan step is better. Only a call that may be the probe
        of a half-open circuit uses Redis. The rest is in memory.
        """
        found = self._open_circuits(run)
        if not found or not self._is_later_step_better(run):
            return None
        for key, known in found.items():
            if known.circuit(now_ms()) is Circuit.OPEN or not await self._start_probe(key):
                provider, _ = key
                return Failure(
                    AttemptOutcome.SKIPPED,
                    ErrorType.PROVIDER_UNAVAILABLE,
                    f"The circuit of {provider} is open: {known.why}",
                )
            run.probes.add(key)
        return None

    def _open_circuits(self, run: JobRun) -> dict[EndpointKey, Breaker]:
        """Return the circuits of this call that are not closed, open ones first."""
        now = now_ms()
        found = {}
        for key in judged_circuits(run):
            known = self.observer.circuits.get(key)
            if known is None or known.circuit(now) is Circuit.CLOSED:
                continue
            if not known.credential or known.credential == self._fingerprint(key[0]):
                found[key] = known
        return dict(sorted(found.items(), key=lambda each: -each[1].until))

    def _fingerprint(self, provider: str) -> str:
        route = self.routes.get(provider)
        return fingerprint(route) if route else ""

    def _is_later_step_better(self, run: JobRun) -> bool:
        plan, snapshot = run.job.plan, self.observer.snapshot
        later = (plan[position] for position in range(run.job.position + 1, len(plan)))
        return any(snapshot.find(*each.key).circuit is not Circuit.OPEN for each in later)

    async def _start_probe(self, key: EndpointKey) -> bool:
        """Return whether this call may test a half-open circuit."""
        now = now_ms()
        try:
            before, after = await circuits.change(
                self.redis,
                key,
                lambda known: (
                    breaker.start_probe(known, now, PROBE_MS) if known.allows_probe(now) else known
                ),
            )
        except (RedisError, OSError):
            return True  # without Redis, one more call does no harm
        return before != after or after.circuit(now) is Circuit.CLOSED
