"""`waybill up --demo` without a waybill.toml: its models are served by its own simulator."""

from broker import catalog, providers, settings
from cli.start.demonstration import write_configuration


def test_the_demo_configuration_names_the_simulator_where_it_is(tmp_path, monkeypatch) -> None:
    path = tmp_path / "demo.toml"
    write_configuration(path, 19_100)
    monkeypatch.setenv("WAYBILL_CONFIG", str(path))
    config = settings.load()
    configured = providers.configured(config, {})
    assert configured
    assert {each.base_url for each in configured.values()} == {"http://127.0.0.1:19100/v1"}
    assert "acme/small" in catalog.load(config, configured).models
