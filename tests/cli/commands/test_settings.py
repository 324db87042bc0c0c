"""`waybill settings`: the reference page is current, and nothing secret is shown."""

from typer.testing import CliRunner

from broker.settings import GROUPS, Settings
from cli.commands.settings import attribute_docstrings, reference
from cli.main import app
from tests.installation import REPOSITORY


def test_the_reference_page_is_what_the_settings_say():
    page = (REPOSITORY / "docs/reference/configuration.md").read_text()
    assert page == reference(), "waybill settings --markdown > docs/reference/configuration.md"


def test_every_setting_belongs_to_a_group_and_has_a_meaning():
    grouped = {name: field for group in GROUPS for name, field in group.model_fields.items()}
    assert set(Settings.model_fields) - set(grouped) == {"providers", "models"}
    texts = {name for group in GROUPS for name in attribute_docstrings(group)}
    assert set(grouped) - texts == set()


def test_what_is_in_force_is_shown_without_secrets(monkeypatch, tmp_path):
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WAYBILL_PORT", "9001")
    monkeypatch.setenv("WAYBILL_SECRET_KEY", "do-not-show-this-word")
    monkeypatch.setenv("WAYBILL_DATABASE_URL", "postgresql://waybill:hush@db.example/waybill")
    shown = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "300"}).output
    assert "9001" in shown
    assert "db.example/waybill" in shown
    assert "do-not-show-this-word" not in shown
    assert "hush" not in shown
