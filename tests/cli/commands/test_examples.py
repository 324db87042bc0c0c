"""The files that the demo and the README lean on."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from broker import catalog, settings
from broker.batches.prompt_files import LineDefaults, lines
from broker.providers import configuration
from workers.simulator.behaviour import parse

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def models(monkeypatch, tmp_path):
    monkeypatch.setenv("WAYBILL_CONFIG", str(EXAMPLES / "waybill.toml"))
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    config = settings.load()
    return catalog.load(config, configuration.load_providers(config, {})).models


def test_every_prompt_can_be_run_with_the_demo_configuration(models):
    found = lines(EXAMPLES / "prompts.jsonl", LineDefaults())
    used = Counter(orjson.loads(line.raw)["body"]["model"] for line in found)
    assert set(used) <= set(models)
    assert used.total() >= 120
    assert f"run {used.total()} prompts" in (EXAMPLES.parent / "README.md").read_text()
    assert used["acme/flaky"] >= 30
    assert used["acme/fragile"] >= 20


def test_every_endpoint_is_known_to_the_simulator(models):
    for model in models.values():
        for endpoint in model.endpoints:
            parse(endpoint.native)


def test_the_unreliable_endpoint_is_tried_first(models):
    for slug in ("acme/flaky", "acme/fragile"):
        cheapest = min(models[slug].endpoints, key=lambda each: each.price.prompt)
        assert cheapest.provider == "sim-shaky"
