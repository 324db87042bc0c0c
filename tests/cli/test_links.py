"""Links to files begin with the address that callers use."""

import pytest

from broker.settings import Settings
from cli.start.serve import linking_to


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
    assert linking_to(Settings(), host, port).public_url == url
    assert linking_to(Settings(public_url=""), host, port).public_url == url


def test_what_is_configured_stays():
    config = Settings(public_url="https://waybill.example.com")
    assert linking_to(config, "0.0.0.0", 9000).public_url == "https://waybill.example.com"
