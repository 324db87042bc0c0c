import pytest

from broker.providers import configuration
from broker.settings import ProviderRow, Settings


def configured(*rows, **environ):
    settings = Settings.model_construct(providers=[ProviderRow(**row) for row in rows])
    return configuration.load_providers(settings, environ)


def test_without_keys_nothing_is_configured():
    assert configured() == {}


def test_a_vendors_usual_key_variable_lights_it_up():
    [groq] = configured(GROQ_API_KEY="gsk", UNRELATED="x").values()
    assert (groq.slug, groq.wire, groq.base_url, groq.api_key) == (
        "groq",
        "openai",
        "https://api.groq.com/openai/v1",
        "gsk",
    )


def test_an_empty_key_variable_lights_nothing():
    assert configured(OPENAI_API_KEY="") == {}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:9", "http://127.0.0.1:9/v1"),
        ("https://ollama.lan/", "https://ollama.lan/v1"),
        ("http://h/v1", "http://h/v1"),
    ],
)
def test_a_local_server_lights_up_at_its_address(given, url):
    assert configured(OLLAMA_HOST=given)["ollama"].base_url == url


def test_a_row_for_a_local_server_keeps_the_address_from_the_environment():
    # Given Ollama at another host, and a row that only limits it
    found = configured({"slug": "ollama", "max_concurrency": 4}, OLLAMA_HOST="gpu.lan:11434")
    # Then the limit does not move it back to this machine
    assert found["ollama"].base_url == "http://gpu.lan:11434/v1"
    assert found["ollama"].limits.max_concurrency == 4


def test_a_row_of_a_known_vendor_keeps_its_wire_and_quirks_at_another_address():
    row = {"slug": "mistral", "base_url": "http://proxy/v1/", "api_key": "k", "quirks": ["more"]}
    found = configured(row)["mistral"]
    vendor = configuration.vendors()["mistral"]
    assert (found.base_url, found.wire, found.vendor) == ("http://proxy/v1", vendor.wire, vendor)
    assert found.quirks == {*vendor.quirks, "more"}


@pytest.mark.parametrize(
    ("api_key", "key"),
    [("env:MINE", "secret"), ("literal", "literal"), (None, "vendor's"), ("env:UNSET", None)],
)
def test_where_a_rows_key_comes_from(api_key, key):
    row = {"slug": "openai"} | ({"api_key": api_key} if api_key else {})
    assert configured(row, MINE="secret", OPENAI_API_KEY="vendor's")["openai"].api_key == key


def test_a_row_replaces_what_the_environment_lit():
    found = configured({"slug": "openai", "max_concurrency": 3}, OPENAI_API_KEY="k")
    assert found["openai"].limits.max_concurrency == 3


def test_an_unknown_vendor_needs_an_address():
    with pytest.raises(SystemExit, match=r"'mine'.*base_url"):
        configured({"slug": "mine"})
    assert configured({"slug": "mine", "base_url": "http://m"})["mine"].wire == "openai"


def test_a_key_is_never_printed():
    assert "gsk-secret" not in repr(configured(GROQ_API_KEY="gsk-secret"))


@pytest.mark.parametrize("vendor", configuration.vendors().values(), ids=lambda vendor: vendor.slug)
def test_a_known_vendor_can_be_lit_and_called(vendor):
    assert vendor.key or vendor.address
    assert vendor.base_url.startswith(("http://", "https://"))
    assert not vendor.base_url.endswith("/")
    assert vendor.slug == vendor.slug.lower()
