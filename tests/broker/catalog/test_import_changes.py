"""Imports show their changes, and apply suspicious ones only when forced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.catalog.imports import Kind, find_changes, find_doubt, merge_price
from broker.catalog.models import Listing, Offer
from broker.pricing import Price, Tier
from broker.providers.endpoints import Endpoint

USD = 10**9  # a dollar per million tokens


def offer(provider="alpha", model="acme/small", price=None, **facts):
    return Offer(Endpoint(provider, model, f"native-{model}", price or Price(), **facts))


def listing(provider="alpha", model="acme/small", tiers=None, **prices):
    return Listing(offer(provider, model), prices, tiers or {})


def compared(known, listings, imported=()):
    return find_changes({each.key: each for each in known}, listings, imported)


def test_a_moved_price_is_a_change_and_an_equal_one_is_none():
    known = offer(price=Price(USD, 2 * USD))
    assert compared([known], [listing(prompt=USD, completion=2 * USD)]) == []
    [change] = compared([known], [listing(prompt=USD, completion=3 * USD)])
    assert (change.kind, change.name) == (Kind.PRICE, "alpha:acme/small")
    assert change.before.completion == 2 * USD
    assert change.offer.endpoint.price.completion == 3 * USD
    assert change.doubt is None


def test_a_new_endpoint_needs_a_price():
    [change] = compared([], [listing(prompt=USD, completion=USD), listing(model="acme/unpriced")])
    assert (change.kind, change.key) == (Kind.NEW, ("alpha", "acme/small"))


def test_what_a_list_no_longer_has_is_withdrawn_if_it_came_from_there():
    known = [offer(), offer(model="acme/big")]
    [change] = compared(known, [], imported=[("alpha", "acme/big")])
    assert (change.kind, change.offer) == (Kind.WITHDRAWN, None)


def test_facts_that_a_list_tells_are_put_over_those_that_are_known():
    known = offer(context_length=100, quantization="fp8")
    said = Listing(offer(context_length=200), {})
    [change] = compared([known], [said])
    endpoint = change.offer.endpoint
    assert (change.kind, endpoint.context_length, endpoint.quantization) == (Kind.FACTS, 200, "fp8")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        # litellm 20615: one wrong entry blocked all users
        (Price(USD, USD), Price(10 * USD, USD), "prompt moved up"),
        (Price(USD, USD), Price(USD, USD // 10), "completion moved down"),
        (Price(USD, USD), Price(0, USD), "prompt would be free"),
        (Price(USD, USD, cache_read=USD), Price(USD, USD, cache_read=1), "cache_read moved down"),
        (Price(USD, USD), Price(9 * USD, USD // 9), None),
        (Price(USD, USD), Price(USD, USD, cache_read=1), None),  # not known before
        (None, Price(2_001 * USD, USD), "more than"),  # dollars per million, taken for per token
        (None, Price(USD, USD), None),
    ],
)
def test_a_price_that_cannot_be_right_is_doubted(before, after, why):
    assert (find_doubt(before, after) or "").startswith(why or "")
    assert (find_doubt(before, after) is None) is (why is None)


RATES = st.integers(1, 10**13)


@given(RATES, RATES)
def test_tenfold_is_tenfold_either_way(one, other):
    moved = (
        find_doubt(Price(one, 1), Price(other, 1)) if max(one, other) <= 2_000 * USD else "beyond"
    )
    assert (moved is None) is (
        max(one, other) <= 2_000 * USD and max(one, other) < 10 * min(one, other)
    )


KNOWN = Price(
    USD, 2 * USD, cache_write_1h=3 * USD, audio=4 * USD, batch_discount=50,
    tiers=(Tier(200_001, Price(2 * USD, 4 * USD)),),
)  # fmt: skip


def test_what_a_list_does_not_tell_stays_with_an_unchanged_price():
    after = merge_price(KNOWN, listing(prompt=USD, completion=2 * USD, cache_read=USD // 10))
    assert (after.cache_read, after.cache_write_1h, after.tiers) == (
        USD // 10, KNOWN.cache_write_1h, KNOWN.tiers,
    )  # fmt: skip


def test_of_a_new_price_only_the_discount_stays():
    after = merge_price(KNOWN, listing(prompt=3 * USD, completion=2 * USD))
    assert after == Price(3 * USD, 2 * USD, batch_discount=50)


def test_a_lists_tiers_are_whole_prices():
    tiers = {200_001: {"prompt": 5 * USD}}
    after = merge_price(Price(), listing(prompt=USD, completion=2 * USD, cache_read=1, tiers=tiers))
    assert after.tiers == (Tier(200_001, Price(5 * USD, 2 * USD, cache_read=1)),)
