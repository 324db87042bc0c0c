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
        ('flower_basic_auth = "a password"', "flower_basic_auth"),
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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BOOTSTRAP_KEY", "secret", "bootstrap_key: must have 16 characters or more"),
        ("PUBLIC_URL", "example.com", "'example.com' does not begin with http:// or https://"),
        ("DATABASE_URL", "mysql://x", "database_url: must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://u:p/@db:54x/w", "database_url: Port could not be cast"),
        ("REDIS_URL", "http://x", "redis_url: must begin with redis://"),
        ("BROKER_URL", "kafka://x", "broker_url: must begin with amqp://"),
        ("HEARTBEAT_SECONDS", "31", "must be half of lease_seconds (60) at most"),
        ("FILES_OPTIONS", "zzz", "files_options"),
        ("PORT", "http", "port: must be a whole number"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(monkeypatch, name, value, told):
    monkeypatch.setenv(f"WAYBILL_{name}", value)
    with pytest.raises(SystemExit) as stopped:
        settings.load()
    assert told in stopped.value.code
    assert "WAYBILL_* variables) is wrong" in stopped.value.code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://waybill:iZ/x+#?[:=@postgres:5432/waybill"),
        ("DATABASE_URL", "postgresql://waybill:iZ/x+#?[:=@[::1]:5432/waybill"),
        ("DATABASE_URL", "sqlite+pysqlite:////srv/a@b:c/waybill.db"),
        ("BROKER_URL", "pyamqp://guest:guest@localhost//"),
    ],
)
def test_whatever_the_libraries_read_is_an_address(monkeypatch, name, value):
    monkeypatch.setenv(f"WAYBILL_{name}", value)
    assert getattr(settings.load(), name.lower()) == value


def test_the_scheme_that_hosts_of_postgresql_give_out_is_taken(monkeypatch):
    monkeypatch.setenv("WAYBILL_DATABASE_URL", "postgres://u:p@db/waybill")
    assert settings.load().database == "postgresql+psycopg://u:p@db/waybill"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("prot = 9", "prot; did you mean port?"),
        ("providers = 5", "providers: must be a list: write [[providers]]"),
        (
            '[[providers]]\nslug = "a"\napi_keys = "x"',
            "providers.0.api_keys: there is no such field; did you mean api_key?",
        ),
        (
            '[[models]]\nslug = "a/b"\nendpoints = [{provider = "a", model = "m", promt = 1}]',
            "models.0.endpoints.0.promt: there is no such field; did you mean prompt?",
        ),
        ('[[models]]\nslug = "b"\nendpoints = []', "models.0.slug: must be author/name"),
        (
            '[[models]]\nslug = "a/b"\nendpoints = [{provider = "a", model = "m", prompt = "x"}]',
            "models.0.endpoints.0.prompt: must be US dollars, as 0.15",
        ),
        ('[[providers]]\nslug = "a"\nbase_url = "ftp://a"', "providers.0.base_url: 'ftp://a'"),
    ],
)
def test_an_error_is_told_in_words(directory, toml, told):
    write(directory, toml)
    with pytest.raises(SystemExit) as stopped:
        settings.load()
    assert told in stopped.value.code


def test_a_variable_that_no_setting_has_is_told_with_the_one_that_was_meant():
    names = ["WAYBILL_PROT", "WAYBILL_PORT", "PATH", "WAYBILL_ZZZZZZ"]
    assert settings.unknown_variables(names) == [
        "WAYBILL_PROT is not a setting; did you mean PORT?",
        "WAYBILL_ZZZZZZ is not a setting",
    ]
