import pytest
from typer.testing import CliRunner

from broker.migrations import migrate
from broker.storage.database import Database
from cli.main import app

CONFIG = """
[[providers]]
slug = "mine"
wire = "telegraph"
base_url = "http://127.0.0.1:9"
api_key = "sk-literal-secret"
"""


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    config = tmp_path / "waybill.toml"
    config.write_text(CONFIG)
    monkeypatch.setenv("WAYBILL_CONFIG", str(config))
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WAYBILL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WAYBILL_BOOTSTRAP_KEY", "sk-bootstrap-secret")

    def run(**env):
        result = CliRunner().invoke(app, ["doctor"], env=env)
        found = {text[6:22].strip(): text for text in result.stdout.splitlines()}
        return result, found

    return run


def test_every_ailment_has_a_line_and_a_remedy(doctor):
    result, found = doctor()
    assert result.exit_code == 1
    assert "waybill migrate" in found["database"]
    assert "`waybill up` starts it" in found["redis"]
    assert "'mine' has wire 'telegraph'; known wires are" in found["wires"]
    assert "start one with `waybill up`" in found["server"]
    assert found["providers"].startswith("ok")


def test_looking_at_a_database_does_not_make_one(doctor, tmp_path):
    doctor()
    assert not (tmp_path / "data").exists()


def test_a_migrated_database_is_well(doctor, tmp_path):
    (tmp_path / "data").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'data' / 'waybill.db'}")
    migrate(database.engine)
    database.close()
    _, found = doctor()
    assert found["database"].startswith("ok")


def test_secrets_are_not_shown(doctor):
    url = "redis://user:hunter2hunter2@127.0.0.1:9/0"
    result, found = doctor(
        WAYBILL_REDIS_URL=url, WAYBILL_DATABASE_URL="postgresql://u:pa55word@127.0.0.1:9/x"
    )
    assert found["transport"].startswith("WRONG")
    for secret in ("hunter2", "pa55word", "sk-literal-secret", "sk-bootstrap-secret"):
        assert secret not in result.output


def test_a_wrong_configuration_is_the_last_finding(doctor, tmp_path):
    (tmp_path / "waybill.toml").write_text("port = 'no'")
    result, found = doctor()
    assert result.exit_code == 1
    assert found["configuration"].startswith("WRONG")
    assert "port" in found["configuration"]
    assert "database" not in found
