import pytest

from broker import catalog, providers
from broker.catalog.priced import priced_models
from broker.errors import UnknownModelError
from broker.providers import Provider
from broker.settings import ModelRow, Settings


def load(*models, **served):
    """A catalog of `models` (waybill.toml rows), served by providers without a vendor."""
    settings = Settings.model_construct(models=[ModelRow(**row) for row in models])
    made = {slug: Provider(slug, slug, "openai", url) for slug, url in served.items()}
    return catalog.load(settings, made)


def row(slug="acme/small", provider="up", **more):
    return {"slug": slug, "endpoints": [{"provider": provider, "model": "native"} | more]}


def test_a_declared_model_is_served_at_its_prices():
    # Given a model with prices in dollars per million tokens
    declared = row(prompt="0.15", completion="0.60", cache_read="0.0375", request="0.01")
    # When it is looked up
    [endpoint] = load(declared, up="http://u").endpoints(["acme/small"])["acme/small"]
    # Then they are whole nano-dollars
    price = endpoint.price
    assert (price.prompt, price.completion, price.cache_read, price.cache_write, price.request) == (
        150_000_000,
        600_000_000,
        37_500_000,
        None,
        10_000_000,
    )
    assert (endpoint.provider, endpoint.native, endpoint.supported_parameters) == (
        "up",
        "native",
        None,
    )


def test_what_an_endpoint_does_not_say_its_model_does():
    declared = row(context_length=5) | {"context_length": 9, "supported_parameters": ["tools"]}
    [endpoint] = load(declared, up="http://u").endpoints(["acme/small"])["acme/small"]
    assert (endpoint.context_length, endpoint.supported_parameters) == (5, {"tools"})


def test_an_unknown_model_is_answered_with_the_nearest_names():
    found = load(row("acme/small"), row("acme/smart"), row("other/thing"), up="http://u")
    with pytest.raises(UnknownModelError) as refusal:
        found.endpoints(["acme/smal"])
    assert (refusal.value.status, refusal.value.param) == (404, "model")
    assert "acme/small" in refusal.value.message
    assert "other/thing" not in refusal.value.message


def test_nothing_near_is_no_hint():
    with pytest.raises(UnknownModelError) as refusal:
        load(row(), up="http://u").endpoints(["zzz/qqq"])
    assert "Did you mean" not in refusal.value.message


def test_an_unknown_fallback_is_refused_and_named():
    with pytest.raises(UnknownModelError, match="zzz/qqq") as refusal:
        load(row(), up="http://u").endpoints(["acme/small", "zzz/qqq"])
    assert refusal.value.param == "models"


def test_a_model_of_an_undefined_provider_stops_the_start_and_is_named():
    with pytest.raises(SystemExit) as stopped:
        load(row(provider="upp"), up="http://u")
    assert "'acme/small'" in stopped.value.code
    assert "'upp'" in stopped.value.code


def lit(slug):
    vendor = providers.vendors()[slug]
    return Provider(slug, vendor.name, vendor.wire, vendor.base_url, vendor=vendor)


def test_a_vendor_with_a_key_brings_its_models_and_waybill_toml_overrides_them():
    # Given a lit vendor
    openai = {"openai": lit("openai")}
    found = catalog.load(Settings.model_construct(models=[]), openai)
    [endpoint] = found.endpoints(["openai/gpt-4o"])["openai/gpt-4o"]
    assert endpoint.price.completion > endpoint.price.prompt > 0
    # When waybill.toml declares one of its models
    declared = ModelRow(**row("openai/gpt-4o", "openai", prompt="1"))
    found = catalog.load(Settings.model_construct(models=[declared]), openai)
    # Then the declaration counts
    [endpoint] = found.endpoints(["openai/gpt-4o"])["openai/gpt-4o"]
    assert (endpoint.native, endpoint.price.prompt) == ("native", 10**9)


def test_an_open_vendor_serves_any_name_under_its_prefix_for_free():
    found = catalog.load(Settings.model_construct(models=[]), {"ollama": lit("ollama")})
    [endpoint] = found.endpoints(["ollama/any:7b"])["ollama/any:7b"]
    assert (endpoint.native, endpoint.price) == ("any:7b", catalog.FREE)
    with pytest.raises(UnknownModelError):
        found.endpoints(["other/any:7b"])


@pytest.mark.parametrize(
    "slug", [v.slug for v in providers.vendors().values() if v.prices is not None]
)
def test_the_price_list_knows_every_vendor_we_say_it_does(slug):
    models = list(priced_models(lit(slug)))
    assert models
    assert all("/" in priced.endpoint.model for priced in models)
    assert all(priced.endpoint.price.prompt >= 0 for priced in models)
