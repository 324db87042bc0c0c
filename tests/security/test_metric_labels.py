"""Nothing that callers send becomes a label of a metric, or a name that is counted for ever."""

from types import SimpleNamespace

import pytest

from api.monitoring.metrics import find_known_endpoints, fold_labels, narrow_labels
from broker.providers.endpoint_stats import WHOLE_PROVIDER, EndpointStats, Snapshot
from broker.providers.health import recorder
from broker.providers.health.breaker import Verdict
from broker.providers.health.counts import OTHER
from broker.providers.health.recorder import Observation, Recorder

LISTED = ("ollama", "acme/small")
MADE_UP = [("ollama", f"made-up-{number}") for number in range(50)] + [("nobody", "any")]


@pytest.fixture
def known() -> frozenset[tuple[str, str]]:
    models = {"acme/small": SimpleNamespace(endpoints=[SimpleNamespace(key=LISTED)])}
    return find_known_endpoints(SimpleNamespace(all_models=models, providers={"ollama": None}))


def test_models_that_callers_make_up_are_one_label(known: frozenset[tuple[str, str]]) -> None:
    totals = {LISTED: {"ok": 5}, **{name: {"excused": 2, "k:not_found": 2} for name in MADE_UP}}
    assert fold_labels(totals, known) == {
        LISTED: {"ok": 5},
        ("ollama", OTHER): {"excused": 100, "k:not_found": 100},
        (OTHER, OTHER): {"excused": 2, "k:not_found": 2},
    }


def test_the_health_of_a_made_up_model_is_not_told(known: frozenset[tuple[str, str]]) -> None:
    seen = EndpointStats(uptime_5m=0.5)
    whole = ("ollama", WHOLE_PROVIDER)
    snapshot = Snapshot({LISTED: seen, whole: seen, **dict.fromkeys(MADE_UP, seen)})
    assert set(narrow_labels(snapshot, known).endpoints) == {LISTED, whole}


def test_a_process_counts_so_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_ENDPOINTS", 10)
    counting = Recorder(SimpleNamespace(), "worker", clock=lambda: 0)
    for endpoint in MADE_UP:
        counting.record(Observation(endpoint, Verdict.OK))
    names = {field.rpartition(" ")[0] for _, _, field in counting._counts}
    assert len(names) == 12  # ten, and the others of two providers
    assert {f"ollama {OTHER}", f"nobody {OTHER}"} < names
