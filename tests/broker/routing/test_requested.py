import pytest

from broker import routing
from broker.errors import InvalidRequestError
from broker.routing.preferences import Variant, split_variant


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"model": "a/1"}, ["a/1"]),
        ({"models": ["a/1", "b/2"]}, ["a/1", "b/2"]),
        ({"model": "a/1", "models": ["b/2", "a/1"]}, ["a/1", "b/2"]),
        ({"model": "a/1", "route": {"fallbacks": ["b/2"]}}, ["a/1", "b/2"]),
        ({"model": "a/1", "models": ["c/3"], "route": {"fallbacks": ["b/2"]}},
         ["a/1", "c/3", "b/2"]),
        ({"model": "a/1", "route": "fallback", "models": None}, ["a/1"]),
    ],
)  # fmt: skip
def test_which_models_a_body_asks_for(body, models):
    assert routing.requested_models(body) == models


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "", "models": []}, "model"),
        ({"models": [f"a/{n}" for n in range(routing.MAX_MODELS + 1)]}, "models"),
    ],
)
def test_a_body_without_usable_models_is_refused_by_field(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        routing.requested_models(body)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("slug", "base", "variant"),
    [
        ("a/1:nitro", "a/1", Variant.NITRO),
        ("a/1:floor", "a/1", Variant.FLOOR),
        ("a/1:free", "a/1", Variant.FREE),
        ("a/1:exacto", "a/1", Variant.EXACTO),
        ("a/1:8b", "a/1:8b", None),
        ("a/1:8b:nitro", "a/1:8b", Variant.NITRO),
        ("a/1:thinking", "a/1:thinking", None),
        ("a/1", "a/1", None),
        (":nitro", ":nitro", None),
    ],
)
def test_a_suffix_that_routes_is_told_from_a_name(slug, base, variant):
    assert split_variant(slug) == (base, variant)
