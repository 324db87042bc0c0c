"""The table of vendors is data that nobody runs: these tests read every row as code would."""

import importlib
import pkgutil
from collections import Counter
from enum import StrEnum
from urllib.parse import urlsplit

import pytest
from genai_prices import data_snapshot

import workers.adapters
from broker.catalog.names import Namer
from broker.catalog.priced import list_priced_models
from broker.providers.configuration import check_variables, load_providers
from broker.providers.vendors import placeholders, read_vendors, vendors
from broker.settings import ProviderRow, Settings
from workers.adapters.registry import find_adapter

ALL = pytest.mark.parametrize("vendor", vendors().values(), ids=lambda vendor: vendor.slug)
SHARED = {  # one credential opens both
    "GOOGLE_VERTEX_ACCESS_TOKEN",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
}
ROW = 'name = "V"\nwire = "openai"\nbase_url = "https://v/v1"\nkey = ["V_KEY"]\n'


def declared_quirks():
    """Every quirk that any adapter declares, by the package or module that declares it."""
    found = {}
    for each in pkgutil.walk_packages(workers.adapters.__path__, "workers.adapters."):
        for name, quirks in vars(importlib.import_module(each.name)).items():
            if name.endswith("Quirk") and quirks.__module__ == each.name:
                assert issubclass(quirks, StrEnum)
                found[each.name] = {str(member) for member in quirks}
    assert found
    return found


def known_quirks(wire):
    """The quirks that the adapter of a wire, or the one it derives from, understands."""
    homes = {
        base.__module__ for base in type(find_adapter(wire)).__mro__ if base.__module__ != "abc"
    }
    return {
        quirk
        for module, names in declared_quirks().items()
        for quirk in names
        if any(_together(module, home) for home in homes)
    }


def _together(quirks_module, adapter_module):
    """The modules of a wire share its package."""
    return quirks_module.rpartition(".")[0] == adapter_module.rpartition(".")[0]


def environment(vendor):
    """Return the variables that configure `vendor`, and no more."""
    if vendor.local:
        return {vendor.address[0]: "x1"}
    options = [names[0] for names in vendor.needs.values()]
    return dict.fromkeys([*vendor.key[-1].split(":"), *options], "x1")


def provider(vendor, environ=None):
    return load_providers(Settings.model_construct(), environ or environment(vendor))[vendor.slug]


def test_there_are_enough():
    assert len(vendors()) >= 65


@ALL
def test_its_wire_is_registered(vendor):
    assert find_adapter(vendor.wire)


@ALL
def test_its_quirks_are_known_to_its_wire(vendor):
    assert set(vendor.quirks) <= known_quirks(vendor.wire)


@ALL
def test_its_address_is_encrypted_unless_it_is_ours(vendor):
    url = urlsplit(vendor.base_url)
    assert url.scheme == ("http" if vendor.local else "https")
    assert not vendor.base_url.endswith("/")
    assert not vendor.base_url.endswith(("/completions", "/messages"))


@ALL
def test_its_prices_exist(vendor):
    listed = {each.id for each in data_snapshot.get_snapshot().providers}
    assert vendor.prices is None or vendor.prices in listed
    if vendor.prices:
        assert list(list_priced_models(vendor, Namer(()))), "`only` leaves nothing"


def test_a_key_variable_lights_one_vendor():
    counted = Counter(name for vendor in vendors().values() for name in set(vendor.key))
    assert {name for name, times in counted.items() if times > 1} == SHARED


def test_an_address_is_told_once():
    told = Counter((v.base_url, v.wire, v.key) for v in vendors().values())
    assert max(told.values()) == 1


@ALL
def test_it_lights_up(vendor):
    environ = environment(vendor)
    assert check_variables(vendor, environ) == (True, None)
    configured = provider(vendor, environ)
    assert placeholders(configured.base_url) == []
    assert bool(configured.api_key) is not vendor.local


@ALL
def test_without_any_of_its_variables_it_stays_dark_and_says_which(vendor):
    whole = environment(vendor)
    for missing in whole:
        environ = {name: value for name, value in whole.items() if name != missing}
        is_complete, message = check_variables(vendor, environ)
        assert not is_complete
        assert message.startswith("set ")
        assert set(message.replace("(", "").replace(")", "").split()) & {
            missing,
            *next((names for names in vendor.needs.values() if missing in names), ()),
            *vendor.key_variables,
        }
        assert vendor.slug not in load_providers(Settings.model_construct(), environ)


def test_what_is_missing_is_said_in_one_line():
    found = check_variables(vendors()["cloudflare"], {})
    assert found.missing == (
        "set CLOUDFLARE_API_TOKEN (or CLOUDFLARE_API_KEY) and CLOUDFLARE_ACCOUNT_ID"
    )
    found = check_variables(vendors()["cloudflare"], {"CLOUDFLARE_API_KEY": "k"})
    assert found.missing == "set CLOUDFLARE_ACCOUNT_ID"


def test_options_fill_the_address():
    environ = {"CLOUDFLARE_API_TOKEN": "k", "CLOUDFLARE_ACCOUNT_ID": "acc"}
    found = provider(vendors()["cloudflare"], environ)
    assert found.base_url == "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1"
    assert found.options == {"account": "acc"}


@pytest.mark.parametrize(
    "host", ["dbc-1.cloud.databricks.com", "https://dbc-1.cloud.databricks.com/"]
)
def test_a_host_may_be_given_as_a_url(host):
    environ = {"DATABRICKS_TOKEN": "k", "DATABRICKS_HOST": host}
    found = provider(vendors()["databricks"], environ)
    assert found.base_url == "https://dbc-1.cloud.databricks.com/serving-endpoints"


def test_an_address_replaces_what_an_option_would_fill():
    environ = {"AZURE_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://mine.example/"}
    assert provider(vendors()["azure"], environ).base_url == "https://mine.example"


def test_an_option_that_is_not_needed_is_passed_on_when_it_is_there():
    environ = {"GOOGLE_OAUTH_ACCESS_TOKEN": "t", "GOOGLE_CLOUD_PROJECT": "p"}
    assert provider(vendors()["google-vertex"], environ).options == {"project": "p"}
    there = {**environ, "GOOGLE_CLOUD_LOCATION": "europe-west4"}
    found = provider(vendors()["google-vertex"], there)
    assert found.options == {"project": "p", "region": "europe-west4"}


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "b"}, "b"),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "a:s"),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
            "a:s:t",
        ),
    ],
)
def test_a_key_may_be_made_of_several_variables(environ, key):
    found = provider(vendors()["amazon-bedrock"], {**environ, "AWS_REGION": "eu-west-1"})
    assert found.api_key == key
    assert found.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"


def test_half_a_key_is_none():
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_REGION": "eu-west-1"}
    assert not check_variables(vendors()["amazon-bedrock"], environ).is_complete


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("gpu.lan", "http://gpu.lan:11434/v1"),
        ("gpu.lan:1", "http://gpu.lan:1/v1"),
        ("http://gpu.lan", "http://gpu.lan/v1"),
        ("https://gpu.lan/ollama/", "https://gpu.lan/ollama/v1"),
    ],
)
def test_a_local_address_is_completed(given, url):
    assert provider(vendors()["ollama"], {"OLLAMA_HOST": given}).base_url == url


def test_a_row_may_give_an_option_that_no_variable_does():
    row = ProviderRow(slug="cloudflare", api_key="k", options={"account": "acc"})
    found = load_providers(Settings.model_construct(providers=[row]), {})["cloudflare"]
    assert "/accounts/acc/" in found.base_url


def test_a_row_whose_address_stays_open_is_refused():
    row = ProviderRow(slug="cloudflare", api_key="k")
    with pytest.raises(SystemExit, match=r"options\.account .* CLOUDFLARE_ACCOUNT_ID"):
        load_providers(Settings.model_construct(providers=[row]), {})


def test_only_some_models_of_a_data_set_and_their_native_names():
    google = vendors()["google-ai-studio"]
    assert {each.endpoint.native[:5] for each in list_priced_models(google, Namer(()))} <= {
        "gemin",
        "gemma",
    }
    fireworks = list(list_priced_models(vendors()["fireworks"], Namer(())))
    assert all(m.endpoint.native.startswith("accounts/fireworks/models/") for m in fireworks)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("colour = 'red'\n", r"v\.colour: Unexpected keyword"),
        ("needs = 3\n", r"v\.needs"),
        ("probe = 'https://v/{account}'\n", "without a line in `needs`: account"),
        ("local = true\n", "no variable configures it"),
    ],
)
def test_a_row_that_is_wrong_is_named(row, problem):
    with pytest.raises(ValueError, match=problem):
        read_vendors(f"[v]\n{ROW}{row}")


def test_an_address_in_clear_is_refused():
    with pytest.raises(ValueError, match="v: base_url 'http://v/v1' is not https"):
        read_vendors(f"[v]\n{ROW}".replace("https", "http"))
