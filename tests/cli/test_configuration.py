"""Links to files begin with the address that callers use."""

import pytest

from broker.settings import Settings
from cli.client.server import DEFAULT_URL, configured
from cli.configuration import address, linking_to


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("127.0.0.1", 9000, "http://127.0.0.1:9000"),
        ("0.0.0.0", 8080, "http://127.0.0.1:8080"),
        ("::", 8080, "http://127.0.0.1:8080"),
        ("fd00::7", 8080, "http://[fd00::7]:8080"),
        ("waybill.lan", 80, "http://waybill.lan:80"),
    ],
)
def test_the_address_is_where_the_api_listens(host, port, url):
    assert address(host, port) == url
    assert linking_to(Settings(), url).public_url == url
    assert linking_to(Settings(public_url=""), url).public_url == url


def test_what_is_configured_stays():
    config = Settings(public_url="https://waybill.example.com")
    assert linking_to(config, address("0.0.0.0", 9000)).public_url == "https://waybill.example.com"


def test_an_invitation_leads_to_where_the_installation_listens(
    command, database, tmp_path, monkeypatch
):
    # Given an installation that was never started: it would listen where it is configured to
    monkeypatch.setenv("WAYBILL_PORT", "9001")
    assert "http://127.0.0.1:9001/welcome?" in command("users", "create", "a@example.com").stdout
    # When `waybill up --port 9002` runs, then there
    (tmp_path / "url").write_text("http://127.0.0.1:9002")
    assert "http://127.0.0.1:9002/welcome?" in command("users", "link", "a@example.com").stdout
    monkeypatch.setenv("WAYBILL_PUBLIC_URL", "https://waybill.example.com")
    linked = command("users", "link", "a@example.com").stdout
    assert linked.startswith("https://waybill.example.com/welcome?")


def test_commands_find_the_installation_that_runs_here(tmp_path):
    environ = {"WAYBILL_DATA_DIR": str(tmp_path)}
    assert configured(environ).url == DEFAULT_URL
    (tmp_path / "url").write_text("http://127.0.0.1:9002")
    assert configured(environ).url == "http://127.0.0.1:9002"
    assert configured(environ | {"WAYBILL_URL": "http://there"}).url == "http://there"
