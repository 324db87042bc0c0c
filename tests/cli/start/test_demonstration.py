"""`waybill up --demo` without a waybill.toml: its models are served by its own simulator."""

from broker import catalog, settings
from broker.providers import configuration
from cli.start import up
from cli.start.demonstration import EXAMPLES, write_configuration


def test_the_demo_configuration_names_the_simulator_where_it_is(tmp_path, monkeypatch) -> None:
    path = tmp_path / "demo.toml"
    write_configuration(path, 19_100)
    monkeypatch.setenv("WAYBILL_CONFIG", str(path))
    config = settings.load()
    configured = configuration.load_providers(config, {})
    assert configured
    assert {each.base_url for each in configured.values()} == {"http://127.0.0.1:19100/v1"}
    assert "acme/small" in catalog.load(config, configured).models


def test_a_waybill_toml_that_is_there_is_used_and_the_missing_models_are_named(
    tmp_path, monkeypatch, capsys
) -> None:
    path = tmp_path / "waybill.toml"
    endpoint = '{ provider = "mine", model = "small", prompt = "1", completion = "1" }'
    path.write_text(f'[[models]]\nslug = "acme/small"\nendpoints = [{endpoint}]\n')
    monkeypatch.setenv("WAYBILL_CONFIG", str(path))
    config = settings.load()
    assert up.demo_configuration(config, 9100) == config
    said = capsys.readouterr().err
    assert "acme/slow" in said
    assert "acme/small," not in said
    assert f"WAYBILL_CONFIG={EXAMPLES / 'waybill.toml'}" in said


def test_the_examples_own_configuration_lacks_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setenv("WAYBILL_CONFIG", str(EXAMPLES / "waybill.toml"))
    up.demo_configuration(settings.load(), 9100)
    assert capsys.readouterr().err == ""
