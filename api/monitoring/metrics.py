"""The Prometheus families of /metrics (names: prometheus.io/docs/practices/naming).

Labels come from the configuration and the catalog, never from what callers send.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from broker.catalog import Catalog
from broker.enums import JobState
from broker.jobs.rows import OpenJobCount
from broker.providers.endpoint_stats import (
    WHOLE_PROVIDER,
    Circuit,
    EndpointKey,
    EndpointStats,
    Percentiles,
    Snapshot,
)
from broker.providers.health.counts import COST_DEVIATES, KIND, OTHER, Counts
from broker.providers.vendors import vendors
from broker.webhooks.deliveries import WaitingDeliveries

ENDPOINT = ("provider", "model")
JOB = ("provider", "lane", "status")
WINDOWS = ("5m", "30m")
COLLECTIVE = (WHOLE_PROVIDER, OTHER)
"""Labels in place of a model: the provider itself, and the sum of its unknown models."""
CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, eq=False)  # a registry needs an object with a hash
class Measurement:
    """The values of all metrics at `now` (Unix milliseconds)."""

    now: int
    jobs: Sequence[OpenJobCount]
    deliveries: Sequence[WaitingDeliveries]
    workers: int
    ended: Sequence[tuple[str, str, str, int]]  # provider, lane, status, jobs
    totals: Mapping[EndpointKey, Counts]
    snapshot: Snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the families; prometheus-client calls this."""
        yield from _collect_jobs(self.jobs, self.now)
        yield _collect_ended(self.ended)
        yield from _collect_deliveries(self.deliveries, self.now)
        yield _build_gauge("workers", "Workers that take jobs.", (), [((), self.workers)])
        yield from _collect_attempts(self.totals)
        yield from _collect_endpoints(self.snapshot.endpoints)
        yield _collect_pauses(self.snapshot.endpoints, self.now)


def render_metrics(measurement: Measurement) -> bytes:
    """Return the metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(measurement)
    return bytes(generate_latest(registry))


def _build_gauge(
    name: str,
    description: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = GaugeMetricFamily(f"waybill_{name}", description, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _collect_jobs(rows: Sequence[OpenJobCount], now: int) -> Iterator[Metric]:
    open_jobs = [((provider, lane, state), count) for provider, lane, state, count, _ in rows]
    yield _build_gauge("jobs", "Jobs that have not ended, in the database.", JOB, open_jobs)
    waiting = [
        ((provider, lane), max(now - oldest, 0) / 1000)
        for provider, lane, state, _, oldest in rows
        if state == JobState.QUEUED
    ]
    description = "How long the oldest job that may run has waited."
    yield _build_gauge("queue_age_seconds", description, ("provider", "lane"), waiting)


def _collect_ended(rows: Sequence[tuple[str, str, str, int]]) -> Metric:
    description = "Jobs that have ended, by their final status."
    family = CounterMetricFamily("waybill_jobs_ended", description, labels=JOB)
    for *kind, jobs in rows:
        family.add_metric(kind, jobs)
    return family


def _collect_deliveries(rows: Sequence[WaitingDeliveries], now: int) -> Iterator[Metric]:
    pending = [((state,), count) for state, count, _ in rows]
    yield _build_gauge(
        "deliveries", "Webhook deliveries that have not ended.", ("status",), pending
    )
    late = [((state,), max(now - due, 0) / 1000) for state, _, due in rows]
    yield _build_gauge(
        "deliveries_late_seconds", "How late the oldest of them is.", ("status",), late
    )


def _collect_attempts(totals: Mapping[EndpointKey, Counts]) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "waybill_attempts",
        "Attempts by what they say of the endpoint.",
        labels=[*ENDPOINT, "verdict"],
    )
    failures = CounterMetricFamily(
        "waybill_failures", "Attempts without an answer.", labels=[*ENDPOINT, "error_type"]
    )
    deviations = CounterMetricFamily(
        "waybill_cost_deviations",
        "Answers whose cost the provider states more than 1 % otherwise than it was computed.",
        labels=ENDPOINT,
    )
    for endpoint, counts in sorted(totals.items()):
        for code, seen in sorted(counts.items()):
            if code == COST_DEVIATES:
                deviations.add_metric(endpoint, seen)
                continue
            family = failures if code.startswith(KIND) else attempts
            family.add_metric([*endpoint, code.removeprefix(KIND)], seen)
    yield attempts
    yield failures
    yield deviations


def _collect_endpoints(endpoints: Mapping[EndpointKey, EndpointStats]) -> Iterator[Metric]:
    known = sorted((key, each) for key, each in endpoints.items() if key[1] != WHOLE_PROVIDER)
    yield _build_gauge(
        "endpoint_circuit",
        "0 closed, 0.5 half-open, 1 open.",
        ENDPOINT,
        [(key, _OPENNESS[each.circuit]) for key, each in known],
    )
    yield _build_gauge(
        "provider_disabled",
        "1 while the provider refuses our credential.",
        ("provider",),
        [((key[0],), 1) for key, each in endpoints.items() if _is_disabled(key, each)],
    )
    text = "Calls under way."
    yield _build_gauge(
        "endpoint_in_flight", text, ENDPOINT, [(key, e.in_flight) for key, e in known]
    )
    text = "Share of the last 5 minutes' attempts that were answered 429."
    limited = [(key, each.rate_limited_5m) for key, each in known]
    yield _build_gauge("endpoint_rate_limited_ratio", text, ENDPOINT, limited)
    text = "Share of attempts that succeeded."
    yield _build_gauge("endpoint_uptime_ratio", text, (*ENDPOINT, "window"), _list_uptimes(known))
    text = "Seconds to the first token of streams."
    labels = (*ENDPOINT, "window", "quantile")
    yield _build_gauge(
        "endpoint_first_token_seconds", text, labels, _list_quantiles(known, "latency")
    )
    text = "Output tokens a second, from request to end; quantile 0.9 is what 90 % exceeded."
    yield _build_gauge(
        "endpoint_tokens_per_second", text, labels, _list_quantiles(known, "throughput")
    )


def _collect_pauses(endpoints: Mapping[EndpointKey, EndpointStats], now: int) -> Metric:
    left = [
        ((*key, each.pause.reason.value), max(each.pause.until - now, 0) / 1000)
        for key, each in sorted(endpoints.items())
        if each.pause is not None
    ]
    text = "Seconds until a paused endpoint is called again."
    return _build_gauge("endpoint_pause_seconds", text, (*ENDPOINT, "reason"), left)


_OPENNESS = {Circuit.CLOSED: 0.0, Circuit.HALF_OPEN: 0.5, Circuit.OPEN: 1.0}

Known = Sequence[tuple[EndpointKey, EndpointStats]]


def _is_disabled(key: EndpointKey, stats: EndpointStats) -> bool:
    return key[1] == WHOLE_PROVIDER and stats.circuit is not Circuit.CLOSED


def _list_uptimes(known: Known) -> Iterator[tuple[Sequence[str], float]]:
    for key, each in known:
        for window in (*WINDOWS, "1d"):
            uptime = getattr(each, f"uptime_{window}")
            if uptime is not None:
                yield (*key, window), uptime


def _list_quantiles(known: Known, measure: str) -> Iterator[tuple[Sequence[str], float]]:
    for key, each in known:
        for window in WINDOWS:
            found: Percentiles | None = getattr(each, f"{measure}_{window}")
            for quantile in ("50", "75", "90", "99") if found else ():
                yield (*key, window, f"0.{quantile}"), getattr(found, f"p{quantile}")


def find_known_endpoints(catalog: Catalog) -> frozenset[EndpointKey]:
    """Return the endpoints that labels may name, and two collective ones for each provider."""
    models = catalog.all_models.values()
    named = {endpoint.key for model in models for endpoint in model.endpoints}
    providers = {*catalog.providers, *vendors()}
    return frozenset(named.union((slug, name) for slug in providers for name in COLLECTIVE))


def fold_labels(
    totals: Mapping[EndpointKey, Counts], known: Collection[EndpointKey]
) -> dict[EndpointKey, Counts]:
    """Return the counts of known endpoints; those of a provider's other models are one sum."""
    found: dict[EndpointKey, Counter[str]] = {}
    for endpoint, counts in totals.items():
        provider = endpoint[0] if (endpoint[0], OTHER) in known else OTHER
        label = endpoint if endpoint in known else (provider, OTHER)
        found.setdefault(label, Counter()).update(counts)
    return {label: dict(counts) for label, counts in found.items()}


def narrow_labels(snapshot: Snapshot, known: Collection[EndpointKey]) -> Snapshot:
    """Return the snapshot without the endpoints that labels may not name."""
    endpoints = {key: each for key, each in snapshot.endpoints.items() if key in known}
    return replace(snapshot, endpoints=endpoints)
