from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from broker import catalog
from broker.catalog.names import Namer
from broker.catalog.priced import list_priced_models, list_priced_slugs
from broker.errors import UnknownModelError
from broker.providers import configuration
from broker.providers.configuration import Provider
from broker.providers.endpoints import DataPolicy
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
    vendor = configuration.vendors()[slug]
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
    "slug", [v.slug for v in configuration.vendors().values() if v.prices is not None]
)
def test_the_price_list_knows_every_vendor_we_say_it_does(slug):
    models = list(list_priced_models(configuration.vendors()[slug], Namer(list_priced_slugs())))
    assert models
    assert all("/" in priced.endpoint.model for priced in models)
    assert all(priced.endpoint.price.prompt >= 0 for priced in models)


@pytest.fixture(scope="module")
def everything():
    """The catalog of an installation without any provider."""
    return catalog.load(Settings.model_construct(models=[], providers=[]), {})


def test_out_of_the_box_the_catalog_is_large(everything):
    served = {each.provider for model in everything.all_models.values() for each in model.endpoints}
    assert len(everything.all_models) >= 400
    assert len(served) >= 40
    assert len(configuration.vendors()) >= 60
    assert everything.models == {}


def test_a_model_is_one_model_with_an_endpoint_at_each_host(everything):
    hosts = {
        each.provider: each.native
        for each in everything.all_models["meta-llama/llama-3.3-70b-instruct"].endpoints
    }
    assert len(hosts) >= 8
    assert hosts["groq"] == "llama-3.3-70b-versatile"
    assert hosts["together"] == "meta-llama/Llama-3.3-70B-Instruct-Turbo"


def test_no_provider_has_two_endpoints_of_a_model(everything):
    for model in everything.all_models.values():
        serving = [each.provider for each in model.endpoints]
        assert len(serving) == len(set(serving)), model.slug


def test_only_what_a_configured_provider_serves_is_available():
    found = catalog.load(Settings.model_construct(models=[]), {"groq": lit("groq")})
    assert {each.provider for model in found.models.values() for each in model.endpoints} == {
        "groq"
    }
    with pytest.raises(UnknownModelError, match="OPENAI_API_KEY"):
        found.endpoints(["openai/gpt-4o"])


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "openai/gpt-4o-2024-08-06", "GPT-4o", "openai/gpt-4o"],
)
def test_a_model_is_found_by_its_other_names(name):
    found = catalog.load(Settings.model_construct(models=[]), {"openai": lit("openai")})
    [endpoint] = found.endpoints([name])[name]
    assert (endpoint.model, endpoint.native) == ("openai/gpt-4o", "gpt-4o")


def test_the_latest_of_a_family_is_the_newest_that_is_available():
    found = catalog.load(Settings.model_construct(models=[]), {"anthropic": lit("anthropic")})
    [endpoint] = found.endpoints(["~anthropic/claude-opus-latest"])["~anthropic/claude-opus-latest"]
    newest = max(s for s in found.models if s.startswith("anthropic/claude-opus-"))
    assert endpoint.model == newest
    with pytest.raises(UnknownModelError):
        found.endpoints(["~acme/small-latest"])


def test_an_endpoint_says_what_its_vendor_does_with_prompts():
    served = {slug: lit(slug) for slug in ("groq", "deepseek", "z-ai")}
    found = catalog.load(Settings.model_construct(models=[]), served)
    policies = {
        each.provider: each.data_policy
        for model in found.models.values()
        for each in model.endpoints
    }
    assert (policies["groq"].zdr, policies["groq"].collects) == (True, False)
    assert policies["deepseek"].collects
    assert policies["z-ai"].collects  # it is not known


def test_waybill_toml_states_a_data_policy():
    own = Provider("up", "up", "openai", "http://u", data_policy=DataPolicy(trains=False, zdr=True))
    found = catalog.load(Settings.model_construct(models=[ModelRow(**row())]), {"up": own})
    [endpoint] = found.endpoints(["acme/small"])["acme/small"]
    assert endpoint.data_policy.zdr


def test_long_prompts_and_the_batch_lane_have_prices_of_their_own(everything):
    model = everything.all_models["openai/gpt-5.5"]
    [openai] = [each for each in model.endpoints if each.provider == "openai"]
    [tier] = openai.price.tiers
    assert tier.price.prompt > openai.price.prompt
    assert tier.min_prompt_tokens > 200_000
    assert openai.price.batch_discount == 50


def price_at(slug, provider, moment):
    found = catalog.load(Settings.model_construct(models=[], providers=[]), {}, now=moment)
    [endpoint] = [e for e in found.all_models[slug].endpoints if e.provider == provider]
    return endpoint.price


def test_a_price_is_that_of_its_day_and_hour():
    night, morning = datetime(2026, 11, 25, 23, tzinfo=UTC), datetime(2026, 11, 25, 2, tzinfo=UTC)
    peak, usual = (
        price_at("deepseek/deepseek-v4-pro", "deepseek", each) for each in (morning, night)
    )
    assert peak.prompt == 2 * usual.prompt
    before = price_at("deepseek/deepseek-v4-pro", "deepseek", datetime(2026, 7, 1, 23, tzinfo=UTC))
    assert before.prompt < usual.prompt


def test_the_task_table_speaks_of_models_that_exist(everything):
    fits = catalog.load_task_fit()
    assert [slug for slug in fits if slug not in everything.all_models] == []
    assert all(0 <= fit <= 1 for tasks in fits.values() for fit in tasks.values())


def test_a_declared_endpoint_may_have_every_kind_of_price():
    declared = row(
        prompt="1", completion="2", cache_write_1h="3", audio="4", audio_output="5", reasoning="6",
        image="0.01", image_output="0.04", audio_hour="0.36", batch_discount=50,
        tiers=[{"min_prompt_tokens": 200_000, "prompt": "10"}],
    )  # fmt: skip
    [endpoint] = load(declared, up="http://u").endpoints(["acme/small"])["acme/small"]
    price = endpoint.price
    assert (price.audio, price.image_output, price.batch_discount) == (4 * 10**9, 40_000_000, 50)
    [tier] = price.tiers
    assert (tier.min_prompt_tokens, tier.price.prompt) == (200_000, 10 * 10**9)
    assert tier.price.completion == 2 * 10**9  # what a tier does not name stays as it is


@pytest.mark.parametrize("written", ["0.00000015", "0.0001", "150000"])
def test_a_price_in_the_wrong_unit_is_refused_and_the_unit_is_named(written):
    # bifrost 5243, 3559: prices per token taken for prices per million
    with pytest.raises(ValidationError, match="per million tokens"):
        ModelRow(**row(prompt=written))


def test_a_suffix_that_routes_is_not_part_of_the_name():
    found = load(row("acme/small"), up="http://u")
    for suffix in ("nitro", "floor", "exacto", "free"):
        [endpoint] = found.endpoints([f"acme/small:{suffix}"])[f"acme/small:{suffix}"]
        assert endpoint.model == "acme/small"


@pytest.mark.parametrize(("suffix", "remedy"), [("online", "tool"), ("thinking", "reasoning")])
def test_a_suffix_that_means_another_model_says_what_to_do(suffix, remedy):
    assert load(row(f"acme/small:{suffix}"), up="http://u").endpoints([f"acme/small:{suffix}"])
    with pytest.raises(UnknownModelError, match=remedy):
        load(row("acme/small"), up="http://u").endpoints([f"acme/small:{suffix}"])


def test_what_a_search_costs_is_known_from_the_vendor_unless_it_is_stated():
    models = [
        row("acme/usual", "claude", prompt="1"),
        row("acme/stated", "claude", prompt="1", web_search="0.02"),
        row("acme/unpaid", "claude", prompt="1", web_search="0"),
        row("acme/free", "claude"),
        row("acme/other", "up", prompt="1"),
    ]
    made = {
        "claude": Provider("claude", "Claude", "anthropic", "http://c"),
        "up": Provider("up", "Up", "openai", "http://u"),
    }
    settings = Settings.model_construct(models=[ModelRow(**each) for each in models])
    known = catalog.load(settings, made).models
    fees = {slug: known[slug].endpoints[0].price.web_search for slug in known}
    assert fees == {
        "acme/usual": 10_000_000,
        "acme/stated": 20_000_000,
        "acme/unpaid": 0,
        "acme/free": None,
        "acme/other": None,
    }


def test_service_tiers_cost_what_is_known_of_them(everything):
    def price(slug, provider):
        served = everything.all_models[slug].endpoints
        return next(each.price for each in served if each.provider == provider)

    assert (price("openai/gpt-5", "openai").flex_percent, price("openai/gpt-4.1", "openai")
            .priority_percent) == (50, 175)  # fmt: skip
    assert price("google/gemini-2.5-flash", "google-ai-studio").web_search == 35_000_000
    declared = load(row(prompt="1", flex_percent=60), up="http://u").models["acme/small"]
    own = declared.endpoints[0].price
    assert (own.flex_percent, own.priority_percent) == (60, 200)
