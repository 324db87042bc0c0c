"""Prometheus's own parser reads /metrics."""

from prometheus_client.parser import text_string_to_metric_families

from api.monitoring.metrics import Measurement, render_metrics
from broker.providers.endpoint_stats import (
    WHOLE_PROVIDER,
    Circuit,
    EndpointStats,
    Pause,
    PauseReason,
    Percentiles,
    Snapshot,
)

NOW = 1_800_000_000_000
SPREAD = Percentiles(1.0, 2.0, 3.0, 4.0)


def samples(**more):
    told = {
        "now": NOW,
        "jobs": [("alpha", "batch", "queued", 7, NOW - 3_000), ("alpha", "batch", "running", 2, 0)],
        "deliveries": [("pending", 4, NOW - 1_000)],
        "workers": 3,
        "ended": [("alpha", "batch", "failed", 5)],
        "totals": {("alpha", "acme/small"): {"ok": 9, "failed": 1, "k:server": 1, "c:deviates": 2}},
        "snapshot": Snapshot(),
    } | more
    families = text_string_to_metric_families(render_metrics(Measurement(**told)).decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_jobs_deliveries_and_attempts():
    found = samples()
    assert found["waybill_jobs", "alpha", "batch", "queued"] == 7
    assert found["waybill_jobs", "alpha", "batch", "running"] == 2
    assert found["waybill_jobs_ended_total", "alpha", "batch", "failed"] == 5
    assert found["waybill_queue_age_seconds", "alpha", "batch"] == 3
    assert found["waybill_deliveries", "pending"] == 4
    assert found["waybill_deliveries_late_seconds", "pending"] == 1
    assert found[("waybill_workers",)] == 3
    assert found["waybill_attempts_total", "acme/small", "alpha", "ok"] == 9
    assert found["waybill_cost_deviations_total", "acme/small", "alpha"] == 2
    assert found["waybill_failures_total", "acme/small", "alpha", "server"] == 1


def test_a_pause_is_told_with_its_reason():
    known = EndpointStats(pause=Pause(NOW + 4_500, PauseReason.RATE_LIMITED))
    found = samples(snapshot=Snapshot({("alpha", "acme/small"): known}))
    assert found["waybill_endpoint_pause_seconds", "acme/small", "alpha", "rate_limited"] == 4.5


def test_endpoints_and_disabled_providers():
    known = EndpointStats(
        uptime_5m=0.5, uptime_1d=0.9, latency_5m=SPREAD, in_flight=6, circuit=Circuit.OPEN
    )
    shut = EndpointStats(circuit=Circuit.OPEN)
    found = samples(
        snapshot=Snapshot({("alpha", "acme/small"): known, ("beta", WHOLE_PROVIDER): shut})
    )
    assert found["waybill_endpoint_circuit", "acme/small", "alpha"] == 1
    assert found["waybill_endpoint_uptime_ratio", "5m", "acme/small", "alpha"] == 0.5
    assert found["waybill_endpoint_uptime_ratio", "1d", "acme/small", "alpha"] == 0.9
    assert found["waybill_endpoint_first_token_seconds", "0.90", "5m", "acme/small", "alpha"] == 3
    assert found["waybill_endpoint_in_flight", "acme/small", "alpha"] == 6
    assert found["waybill_provider_disabled", "beta"] == 1
    assert not any(WHOLE_PROVIDER in name for name in found)
