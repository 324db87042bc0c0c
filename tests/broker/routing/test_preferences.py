"""Preferences of callers are read; an error names the field."""

import pytest

from broker.errors import InvalidRequestError
from broker.routing import (
    NO_PREFERENCES,
    Preferences,
    Sort,
    read_preferences,
    read_provider_options,
)

USD = 1_000_000_000


def read(**provider):
    return read_preferences({"provider": provider})


@pytest.mark.parametrize(
    ("wish", "read_as"),
    [
        ({"order": ["OpenAI", "google-vertex"]}, {"order": ("openai", "google-vertex")}),
        ({"order": ["Google AI Studio"]}, {"order": ("google-ai-studio",)}),
        ({"only": ["a"], "ignore": ["b"]}, {"only": {"a"}, "ignore": {"b"}}),
        ({"only": []}, {}),
        ({"allow_fallbacks": False}, {"allow_fallbacks": False}),
        ({"require_parameters": True}, {"require_parameters": True}),
        ({"data_collection": "deny"}, {"data_collection": False}),
        ({"data_collection": "allow"}, {}),
        ({"zdr": True}, {"zdr": True}),
        ({"enforce_distillable_text": True}, {"distillable": True}),
        ({"quantizations": ["fp8", "bf16"]}, {"quantizations": {"fp8", "bf16"}}),
        ({"sort": "throughput"}, {"sort": Sort.THROUGHPUT}),
        ({"sort": {"by": "latency", "partition": "none"}},
         {"sort": Sort.LATENCY, "across_models": True}),
        ({"sort": {"by": None, "partition": "none"}}, {"across_models": True}),
        ({"preferred_min_throughput": 50}, {"min_throughput": {"p50": 50}}),
        ({"preferred_max_latency": {"p90": 2.5, "p50": None}}, {"max_latency": {"p90": 2.5}}),
        ({"max_price": {"prompt": 1, "completion": "2.5", "request": 0}},
         {"max_price": {"prompt": USD, "completion": 2_500_000_000, "request": 0}}),
        ({"max_price": {"prompt": 1e308}}, {"max_price": {"prompt": 10**9 * USD}}),
        ({"options": {"A": {"x": 1}}, "sort": None}, {"options": {"a"}}),
    ],
)  # fmt: skip
def test_every_wish_is_read(wish, read_as):
    assert read(**wish) == Preferences(**read_as)


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"order": "openai"}, "provider.order"),
        ({"only": [1]}, "provider.only"),
        ({"ignore": [""]}, "provider.ignore"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks"),
        ({"data_collection": "never"}, "provider.data_collection"),
        ({"zdr": 1}, "provider.zdr"),
        ({"enforce_distillable_text": "yes"}, "provider.enforce_distillable_text"),
        ({"quantizations": ["fp7"]}, "provider.quantizations"),
        ({"sort": "cheapest"}, "provider.sort"),
        ({"sort": {"by": "cheapest"}}, "provider.sort.by"),
        ({"sort": {"partition": "all"}}, "provider.sort.partition"),
        ({"preferred_min_throughput": "fast"}, "provider.preferred_min_throughput"),
        ({"preferred_min_throughput": 0}, "provider.preferred_min_throughput"),
        ({"preferred_max_latency": {"p95": 1}}, "provider.preferred_max_latency.p95"),
        ({"preferred_max_latency": {"p99": -1}}, "provider.preferred_max_latency.p99"),
        ({"preferred_max_latency": True}, "provider.preferred_max_latency"),
        ({"max_price": 3}, "provider.max_price"),
        ({"max_price": {"promt": 3}}, "provider.max_price.promt"),
        ({"max_price": {"prompt": -1}}, "provider.max_price.prompt"),
        ({"max_price": {"prompt": float("nan")}}, "provider.max_price.prompt"),
        ({"max_price": {"prompt": "inf"}}, "provider.max_price.prompt"),
        ({"options": {"a": 1}}, "provider.options.a"),
        ({"allow_fallback": True}, "provider.allow_fallback"),
    ],
)
def test_a_wish_that_cannot_be_read_names_its_field(wish, param):
    with pytest.raises(InvalidRequestError) as refusal:
        read(**wish)
    assert refusal.value.param == param
    assert refusal.value.message.startswith(param)


def test_a_misspelt_wish_is_told_how_it_is_spelt():
    with pytest.raises(InvalidRequestError, match="allow_fallbacks"):
        read(allow_fallback=False)


@pytest.mark.parametrize("value", ["openai", ["openai"], 3, True])
def test_preferences_are_an_object(value):
    with pytest.raises(InvalidRequestError) as refusal:
        read_preferences({"provider": value})
    assert refusal.value.param == "provider"


@pytest.mark.parametrize(
    ("body", "sort"),
    [
        ({"routing": {"strategy": "cost"}}, Sort.PRICE),
        ({"routing": {"strategy": "speed"}}, Sort.THROUGHPUT),
        ({"routing": {"strategy": "balanced"}}, None),
        ({"routing": {"strategy": "cost"}, "provider": {"sort": "latency"}}, Sort.LATENCY),
        ({"routing": {}}, None),
        ({}, None),
    ],
)
def test_the_guides_strategies(body, sort):
    assert read_preferences(body).sort is sort


@pytest.mark.parametrize(
    ("routing", "param"),
    [({"strategy": "luck"}, "routing.strategy"), ("cost", "routing"), ({"by": 1}, "routing.by")],
)
def test_a_strategy_there_is_not(routing, param):
    with pytest.raises(InvalidRequestError) as refusal:
        read_preferences({"routing": routing})
    assert refusal.value.param == param


def test_the_old_route_sorts_across_models():
    assert read_preferences({"route": "sort"}).across_models
    assert read_preferences({"route": "fallback"}) is NO_PREFERENCES
    assert not read_preferences(
        {"route": "sort", "provider": {"sort": {"partition": "model"}}}
    ).across_models


def test_options_are_for_one_provider_only():
    body = {"provider": {"options": {"deepinfra": {"quant": 8}}}}
    assert read_provider_options(body, "deepinfra") == {"quant": 8}
    assert read_provider_options(body, "openai") == {}
    assert read_provider_options({}, "openai") == {}
    assert read_provider_options(
        {"provider": {"options": {"Google AI Studio": {"x": 1}}}}, "google-ai-studio"
    )
