import os

import pytest

from broker import settings


@pytest.fixture(autouse=True)
def directory(monkeypatch, tmp_path):
    """An empty working directory and an environment that says nothing of Waybill."""
    for name in os.environ:
        if name.startswith("WAYBILL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(directory, text, name="waybill.toml"):
    path = directory / name
    path.write_text(text)
    return path


def test_the_environment_wins_over_toml_and_toml_over_the_default(directory, monkeypatch):
    # Given a value in waybill.toml for two settings, and in the environment for one of them
    write(directory, 'port = 9001\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("WAYBILL_PORT", "9002")
    # When the configuration is read
    found = settings.load()
    # Then each comes from the nearest source
    assert (found.port, found.host, found.flower_port) == (9002, "0.0.0.0", 5555)


def test_nothing_needs_to_be_configured(directory):
    found = settings.load()
    assert found.database == f"sqlite:///{directory}/.waybill/waybill.db"
    assert found.redis == f"unix://{directory}/.waybill/valkey.sock"
    assert found.transport == f"redis+socket://{directory}/.waybill/valkey.sock"


def test_urls_choose_the_services(monkeypatch):
    monkeypatch.setenv("WAYBILL_DATABASE_URL", "postgresql://u:p@db/waybill")
    monkeypatch.setenv("WAYBILL_REDIS_URL", "redis://cache/1")
    found = settings.load()
    assert found.database == "postgresql+psycopg://u:p@db/waybill"
    assert found.transport == found.redis == "redis://cache/1"
    monkeypatch.setenv("WAYBILL_BROKER_URL", "amqp://mq")
    assert settings.load().transport == "amqp://mq"


def test_a_relative_data_dir_is_fixed_to_where_we_started(directory, monkeypatch):
    monkeypatch.setenv("WAYBILL_DATA_DIR", "data")
    assert settings.load().data_dir == directory / "data"


@pytest.mark.parametrize(
    ("toml", "field"),
    [
        ("port = 70000", "port"),
        ('sqlite_synchronous = "off"', "sqlite_synchronous"),
        ('[[providers]]\nslug = "Not A Slug"', "providers.0.slug"),
        ('[[providers]]\nslug = "a"\nmax_concurency = 5', "providers.0.max_concurency"),
        ('[[providers]]\nslug = "a"\nmax_concurrency = 0', "providers.0.max_concurrency"),
        ('[[models]]\nslug = "a/b"\nendpoints = []', "models.0.endpoints"),
        ('[[models]]\nslug = "b"\nendpoints = [{provider = "a", model = "m"}]', "models.0.slug"),
        (
            '[[models]]\nslug = "a/b"\nendpoints = [{provider = "a", model = "m", prompt = "-1"}]',
            "models.0.endpoints.0.prompt",
        ),
    ],
)
def test_an_error_names_its_field_and_the_file(directory, toml, field):
    write(directory, toml)
    with pytest.raises(SystemExit) as stopped:
        settings.load()
    assert f"  {field}: " in stopped.value.code
    assert "waybill.toml" in stopped.value.code


def test_an_error_in_the_environment_names_its_field(monkeypatch):
    monkeypatch.setenv("WAYBILL_LEASE_SECONDS", "soon")
    with pytest.raises(SystemExit, match="lease_seconds"):
        settings.load()


@pytest.mark.parametrize("toml", ["port = ", "[[providers]\n", "port = 1\nport = 2"])
def test_toml_that_does_not_parse_is_an_error_of_its_file(directory, toml):
    write(directory, toml)
    with pytest.raises(SystemExit, match=r"waybill\.toml cannot be read"):
        settings.load()


def test_a_named_file_that_is_missing_is_an_error(monkeypatch, directory):
    monkeypatch.setenv("WAYBILL_CONFIG", str(directory / "other.toml"))
    with pytest.raises(SystemExit, match=r"other\.toml"):
        settings.load()
    write(directory, "port = 9003", "other.toml")
    assert settings.load().port == 9003


def test_prices_may_be_written_as_numbers(directory):
    write(
        directory,
        '[[models]]\nslug = "a/b"\n'
        'endpoints = [{provider = "p", model = "m", prompt = 0.15, completion = 2}]',
    )
    [endpoint] = settings.load().models[0].endpoints
    assert (endpoint.prompt, endpoint.completion) == ("0.15", "2")
