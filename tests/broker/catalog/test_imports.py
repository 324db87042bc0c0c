"""Lists of others: read, stored, undone, and followed by a running process."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from genai_prices import data_snapshot

from broker.catalog import LiveCatalog, discovered, imports, load, models_dev
from broker.catalog.imports import find_changes
from broker.catalog.live import PRICE_INTERVAL_MS, group_by_slug, list_offers
from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer
from broker.catalog.priced import list_priced_slugs
from broker.pricing import Price
from broker.providers import configuration
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint
from broker.settings import ModelRow, Settings
from tests.factories import NOW

USD = 10**9
REPOSITORY = Path(__file__).parents[3]
MODELS_DEV = Path(
    os.environ.get("WAYBILL_MODELS_DEV") or REPOSITORY.parent / "shared/catalog/models_dev.json"
)
SETTINGS = Settings.model_construct(models=[], providers=[])


def lit(slug):
    vendor = configuration.vendors()[slug]
    return Provider(slug, vendor.name, vendor.wire, vendor.base_url, vendor=vendor)


@pytest.fixture(scope="module")
def namer():
    return Namer(list_priced_slugs())


@pytest.fixture(scope="module")
def listings(namer):
    if not MODELS_DEV.exists():
        pytest.skip(f"no copy of models.dev's list at {MODELS_DEV} (set WAYBILL_MODELS_DEV)")
    return list(models_dev.read(json.loads(MODELS_DEV.read_bytes()), namer))


@pytest.fixture(scope="module")
def known(namer):
    offers = group_by_slug(list_offers(namer))
    return {each.key: each for gathered in offers.values() for each in gathered}


def test_models_dev_brings_dozens_of_providers(listings, known):
    serving = {each.offer.key[0] for each in listings} | {provider for provider, _ in known}
    assert len(serving) >= 60
    assert len({each.offer.key[1] for each in listings}) >= 1_000
    assert len({each.offer.key for each in listings}) == len(listings)


def test_a_listing_has_prices_tiers_and_abilities(listings):
    [found] = [each for each in listings if each.offer.key == ("openai", "openai/gpt-5.5")]
    assert found.prices["prompt"] == 5 * USD
    assert list(found.tiers) == [272_001]
    assert found.offer.endpoint.input_modalities >= {"text", "image", "file"}
    assert found.offer.created > 1_700_000_000


def test_hosts_models_are_put_where_they_belong(listings):
    natives = {each.offer.key: each.offer.endpoint.native for each in listings}
    assert natives["deepinfra", "z-ai/glm-5.1"] == "zai-org/GLM-5.1"
    assert natives["scaleway", "openai/gpt-oss-120b"] == "gpt-oss-120b"


def test_applying_it_twice_changes_nothing_the_second_time(database, listings, known):
    found = [each for each in find_changes(known, listings) if each.doubt is None]
    with database.transaction() as connection:
        imports.apply(connection, found, source="models.dev", now=NOW)
    stored = {each.key: each for each in database.read_now(imports.list_current, NOW)}
    imported = database.read_now(imports.list_imported, "models.dev", NOW)
    again = find_changes(known | stored, listings, imported)
    assert [each.key for each in again if each.doubt is None] == []
    catalog = load(SETTINGS, {"deepinfra": lit("deepinfra")}, stored.values())
    assert len(catalog.models) >= 20


@pytest.mark.parametrize("body", [[], {"openai": []}, {"openai": {"models": []}}, "x"])
def test_another_format_is_refused(body, namer):
    with pytest.raises(models_dev.ModelListError):
        list(models_dev.read(body, namer))


def test_a_server_of_ones_own_lists_its_models_for_free(namer):
    body = {"object": "list", "data": [{"id": "llama3.3:70b"}, {"id": "mine", "max_model_len": 9}]}
    first, second = discovered.read(body, lit("vllm"), namer)
    assert (second.offer.key, second.offer.endpoint.context_length) == (("vllm", "vllm/mine"), 9)
    assert first.prices == {"prompt": 0, "completion": 0}


def test_a_gateways_list_has_prices_per_token(namer):
    body = {
        "data": [
            {"id": "acme/small", "context_length": 5, "pricing": {"prompt": "0.00000015",
             "completion": "0.0000006", "input_cache_read": "0.0000000375", "request": "0.01"}},
            {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}},
        ]
    }  # fmt: skip
    small, auto = discovered.read(body, lit("openrouter"), namer)
    assert small.prices == {
        "prompt": 150_000_000, "completion": 600_000_000, "cache_read": 37_500_000,
        "request": 10_000_000,
    }  # fmt: skip
    [change] = find_changes({}, [auto])
    assert change.offer.endpoint.price == Price(as_stated=True)


def test_what_nobody_prices_is_not_taken(namer):
    body = {"data": [{"id": "acme/small"}]}
    assert find_changes({}, discovered.read(body, lit("deepinfra"), namer)) == []


@pytest.mark.parametrize("body", [None, [], {}, {"data": None}, {"data": [1, {"id": 2}]}])
def test_a_strange_list_has_no_models(body, namer):
    assert list(discovered.read(body, lit("vllm"), namer)) == []


def change_of(price, provider="openai", model="openai/gpt-4o"):
    offer = Offer(
        Endpoint(provider, model, "gpt-4o", price, input_modalities=frozenset({"text"})),
        created=5,
        output_modalities=["text"],
    )
    listing = Listing(offer, {"prompt": price.prompt, "completion": price.completion})
    return find_changes({}, [listing])


def apply(database, price, now, source="a list"):
    with database.transaction() as connection:
        imports.apply(connection, change_of(price), source=source, now=now)


def test_prices_are_effective_from_their_day_on(database):
    # models.dev 4006: keep what a price was
    apply(database, Price(USD, USD), NOW)
    apply(database, Price(2 * USD, USD), NOW + 1_000, source="another")
    at = {
        moment: [
            each.endpoint.price.prompt for each in database.read_now(imports.list_current, moment)
        ]
        for moment in (NOW - 1, NOW, NOW + 1_000)
    }
    assert at == {NOW - 1: [], NOW: [USD], NOW + 1_000: [2 * USD]}
    said = database.read_now(imports.list_history, "openai", "openai/gpt-4o")
    assert [(each.source, each.offer.endpoint.price.prompt) for each in said] == [
        ("a list", USD),
        ("another", 2 * USD),
    ]


def test_an_import_can_be_undone(database):
    apply(database, Price(USD, USD), NOW)
    apply(database, Price(2 * USD, USD), NOW + 1_000, source="another")
    before = database.read_now(imports.read_version)
    with database.transaction() as connection:
        assert imports.undo(connection, now=NOW + 2_000) == "another"
    [offer] = database.read_now(imports.list_current, NOW + 3_000)
    assert offer.endpoint.price.prompt == USD
    assert (offer.created, offer.endpoint.input_modalities) == (5, {"text"})
    assert database.read_now(imports.read_version) != before
    with database.transaction() as connection:
        assert imports.undo(connection, now=NOW + 4_000) == "a list"
        assert imports.undo(connection, now=NOW + 5_000) is None


async def test_a_running_process_follows_an_import(database):
    moment = [NOW]
    live = LiveCatalog(SETTINGS, {"openai": lit("openai")}, database, clock=lambda: moment[0])
    quoted = price_in(live)
    assert not await live.refresh()
    # When somebody applies an import
    apply(database, replace(Price(), prompt=7 * USD, completion=USD), NOW)
    # Then the next look sees it, and what was quoted before keeps its price
    assert await live.refresh()
    assert (price_in(live).prompt, quoted.prompt) == (7 * USD, 2_500_000_000)
    assert not await live.refresh()
    # and prices of the day are read again on their grid
    moment[0] += PRICE_INTERVAL_MS
    assert await live.refresh()


def price_in(live):
    [endpoint] = live.current.endpoints(["openai/gpt-4o"])["openai/gpt-4o"]
    return endpoint.price


def test_what_waybill_toml_declares_wins_over_an_import():
    row = ModelRow(
        slug="openai/gpt-4o", endpoints=[{"provider": "openai", "model": "x", "prompt": "1"}]
    )
    [change] = change_of(Price(9 * USD, 9 * USD))
    settings = Settings.model_construct(models=[row], providers=[])
    found = load(settings, {"openai": lit("openai")}, [change.offer])
    [endpoint] = found.endpoints(["openai/gpt-4o"])["openai/gpt-4o"]
    assert (endpoint.native, endpoint.price.prompt) == ("x", USD)


def test_without_an_import_prices_are_those_of_the_package():
    # genai-prices 703: an automatic update put stale prices over correct ones
    load(SETTINGS, {})
    snapshot = data_snapshot.get_snapshot()
    assert not snapshot.from_auto_update
