"""Skip endpoints whose circuit breaker is open, where a later plan step is better."""

from redis.exceptions import RedisError

from broker.clock import now_ms
from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.providers.endpoint_stats import Circuit, EndpointKey
from broker.providers.health import Breaker, breaker, circuits
from workers.attempt.endpoint_stats import fingerprint, judged_circuits
from workers.attempt.job_run import JobRun
from workers.context import WorkerContext

PROBE_MS = 60_000  # a probe that has not ended by then is thought lost


async def skip_open_circuits(context: WorkerContext, run: JobRun) -> Failure | None:
    """Return the reason to go to the next plan step, at no cost; None to call this endpoint.

    An open circuit is tried where no later plan step is better. Only a call that may be the probe
    of a half-open circuit asks Redis; the rest is in memory.
    """
    shut = _open_circuits(context, run)
    if not shut or not _is_better_later(context, run):
        return None
    for key, known in shut.items():
        if known.circuit(now_ms()) is Circuit.OPEN or not await _took_probe(context, key):
            provider, _ = key
            return Failure(
                AttemptOutcome.SKIPPED,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"The circuit of {provider} is open: {known.why}",
            )
        run.probes.add(key)
    return None


def _open_circuits(context: WorkerContext, run: JobRun) -> dict[EndpointKey, Breaker]:
    """Return the circuits on this job's way that are not closed, the shut ones first."""
    now = now_ms()
    found = {}
    for key in judged_circuits(run):
        known = context.observer.circuits.get(key)
        if known is None or known.circuit(now) is Circuit.CLOSED:
            continue
        if not known.credential or known.credential == _fingerprint(context, key[0]):
            found[key] = known
    return dict(sorted(found.items(), key=lambda each: -each[1].until))


def _fingerprint(context: WorkerContext, provider: str) -> str:
    route = context.routes.get(provider)
    return fingerprint(route) if route else ""


def _is_better_later(context: WorkerContext, run: JobRun) -> bool:
    plan, snapshot = run.job.plan, context.observer.snapshot
    later = (plan[place] for place in range(run.job.position + 1, len(plan)))
    return any(snapshot.find(*each.key).circuit is not Circuit.OPEN for each in later)


async def _took_probe(context: WorkerContext, key: EndpointKey) -> bool:
    now = now_ms()
    try:
        before, after = await circuits.change(
            context.redis,
            key,
            lambda known: (
                breaker.start_probe(known, now, PROBE_MS) if known.allows_probe(now) else known
            ),
        )
    except (RedisError, OSError):
        return True  # nobody can tell: one call more does no harm
    return before != after or after.circuit(now) is Circuit.CLOSED
