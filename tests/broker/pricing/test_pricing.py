import json
from collections import Counter
from dataclasses import fields, replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import Completion, Usage
from broker.pricing import PictureRate, Price, Tier, charge, cost
from broker.requests.token_estimates import estimate_input_tokens, requested_output_tokens

NANOS = st.integers(0, 10**13)
TOKENS = st.none() | st.integers(0, 10**9)
NAMES = [each.name for each in fields(Price) if each.name not in ("pictures", "tiers", "as_stated")]
OWN = ("cache_read", "cache_write", "cache_write_1h", "reasoning", "audio", "audio_output",
       "image_token", "image_output_token", "web_search")  # fmt: skip
FLAT = st.builds(
    Price,
    **{
        name: st.integers(0, 100) if name == "batch_discount"
        else st.integers(0, 500) if name.endswith("_percent")
        else st.none() | NANOS if name in OWN else NANOS
        for name in NAMES
    },
)  # fmt: skip
PRICES = st.builds(
    lambda price, sizes, others: replace(
        price, tiers=tuple(map(Tier, sorted(sizes), others[: len(sizes)]))
    ),
    FLAT,
    st.sets(st.integers(1, 10**9), max_size=3),
    st.lists(FLAT, min_size=3, max_size=3),
)
PARTS = ("cache_write_1h", "input_audio", "input_image", "output_audio", "output_image",
         "reasoning", "input_audio_ms",
         "input_characters", "input_images", "output_images", "input_pages", "searches",
         "requests")  # fmt: skip
USAGES = st.builds(
    Usage,
    **dict.fromkeys(("input", "cache_read", "cache_write", "output", *PARTS), TOKENS),
)


def exact_cost(price, usage, *, tier):
    """The same sum, token by token in a bag of kinds, with fractions."""
    bag = Counter(
        prompt=usage.input or 0,
        completion=usage.output or 0,
        cache_read=usage.cache_read or 0,
        cache_write=usage.cache_write or 0,
    )
    parts = [
        ("cache_write_1h", "cache_write", usage.cache_write_1h),
        ("audio", "prompt", usage.input_audio),
        ("image_token", "prompt", usage.input_image),
        ("audio_output", "completion", usage.output_audio),
        ("image_output_token", "completion", usage.output_image),
        ("reasoning", "completion", usage.reasoning),
    ]
    for part, whole, count in parts:
        bag[part] = min(count or 0, bag[whole])
        bag[whole] -= bag[part]
    size = sum(count or 0 for count in (usage.input, usage.cache_read, usage.cache_write))
    rates = [price, *(tier.price for tier in price.tiers if tier.min_prompt_tokens <= size)][-1]
    usual = {"cache_read": "prompt", "cache_write": "prompt"} | {part: of for part, of, _ in parts}

    if rates.audio_hour and usage.input_audio_ms:
        del bag["audio"]  # paid by its length

    def rate(kind):
        own = getattr(rates, kind)
        return rate(usual[kind]) if own is None else own

    exact = sum(Fraction(count * rate(kind), 10**6) for kind, count in bag.items())
    exact += Fraction((usage.input_characters or 0) * rates.characters, 10**6)
    exact += Fraction((usage.input_audio_ms or 0) * rates.audio_hour, 3_600_000)
    exact += (usage.input_images or 0) * rates.image + (
        usage.output_images or 0
    ) * rates.image_output
    exact += (usage.input_pages or 0) * rates.page
    exact += rates.request * (1 if usage.requests is None else usage.requests)
    percent = {
        "batch": 100 - price.batch_discount,
        "flex": price.flex_percent,
        "priority": price.priority_percent,
        "fast": price.priority_percent,
    }.get(tier, 100)
    searches = (usage.searches or 0) * (price.web_search or 0)  # the same in every tier
    return exact * percent / 100 + searches


TIERS = st.sampled_from([None, "default", "standard", "batch", "flex", "priority", "fast", "scale"])


@given(PRICES, USAGES, TIERS)
def test_cost_is_exact_and_rounded_half_up_once(price, usage, tier):
    exact = exact_cost(price, usage, tier=tier)
    assert cost(price, usage, tier=tier) == floor(exact + Fraction(1, 2))


KINDS = st.sampled_from(["low", "high", "1024x1024", "auto", None])
RATES = st.lists(st.builds(PictureRate, KINDS, KINDS, NANOS), max_size=4).map(tuple)


@given(PRICES, RATES)
def test_prices_of_pictures_are_recalled_too(price, rates):
    price = replace(price, pictures=rates)
    assert Price.decode(json.loads(json.dumps(price.encode()))) == price


@given(RATES, NANOS, KINDS, KINDS)
def test_no_picture_costs_more_than_the_highest_rate(rates, other, quality, size):
    price = Price(image_output=other, pictures=rates)
    bound = price.of_highest_rate(quality, size).image_output
    open_kinds = [None, "auto"]
    for made in ["low", "high", None] if quality in open_kinds else [quality]:
        for big in ["1024x1024", "9x9", None] if size in open_kinds else [size]:
            assert price.of_picture(made, big).image_output <= bound


def test_a_picture_has_the_price_of_its_quality_and_size():
    rates = (PictureRate("high", "1024x1024", 7), PictureRate("high", None, 5))
    price = Price(image_output=1, pictures=rates)
    kinds = [("high", "1024x1024"), ("high", "9x9"), ("low", "1024x1024"), ("auto", None)]
    assert [price.of_picture(*kind).image_output for kind in kinds] == [7, 5, 1, 1]
    assert price.of_highest_rate("auto", None).image_output == 7
    assert Price(pictures=rates).of_picture(None, None).image_output == 7


@given(PRICES)
def test_a_stored_price_is_recalled_as_it_was(price):
    assert Price.decode(json.loads(json.dumps(price.encode()))) == price


def test_a_price_stored_by_an_earlier_version_is_recalled():
    old = {"prompt": 1, "completion": 2, "cache_read": None, "cache_write": 3, "request": 4}
    assert Price.decode(old) == Price(prompt=1, completion=2, cache_write=3, request=4)


@pytest.mark.parametrize(
    ("usage", "nanos"),
    [
        (Usage(), 7),
        (Usage(input=1_000_000), 150_000_007),
        (Usage(output=1_000), 600_007),
        (Usage(cache_read=1_000_000), 15_000_007),
        (Usage(cache_write=1_000_000), 150_000_007),  # no price of its own: the prompt's
        (Usage(input=1, output=1, reasoning=1), 757),  # reasoning is part of the output
    ],
)
def test_cost_of_an_ordinary_model(usage, nanos):
    # 0.15, 0.60 and 0.015 dollars per million, and seven nano-dollars a call
    price = Price(prompt=150_000_000, completion=600_000_000, cache_read=15_000_000, request=7)
    assert cost(price, usage) == nanos


def test_a_free_cache_read_is_free():
    assert cost(Price(prompt=10**9, cache_read=0), Usage(cache_read=10**6)) == 0


@given(FLAT, USAGES)
def test_more_text_never_costs_less(price, usage):
    text = replace(usage, output_audio=None, output_image=None, reasoning=None)
    more = replace(text, output=(text.output or 0) + 1)
    assert cost(price, more) >= cost(price, text) >= 0


def answer(*reasons):
    return Completion(choices=[{"index": 0, "finish_reason": reason} for reason in reasons])


@pytest.mark.parametrize(
    ("completion", "output", "free"),
    [
        (answer("stop"), 5, False),
        (answer("stop"), 0, False),  # an empty answer that was meant
        (answer(None), 0, True),
        (answer(""), None, True),
        (answer(), 0, True),
        (answer(None), 5, False),  # cut off, but there is something
        (answer("error"), 5, True),
        (answer("error", "error"), 5, True),
        (answer("error", "stop"), 5, False),
    ],
)
def test_an_answer_that_is_none_costs_nothing(completion, output, free):
    price, usage = Price(prompt=10**9, completion=10**9), Usage(input=100, output=output)
    assert charge(price, usage, completion) == (0 if free else cost(price, usage))


TIERED = Price(prompt=10**9, completion=10**9, tiers=(Tier(200_001, Price(2 * 10**9, 3 * 10**9)),))


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input=200_000, output=1_000), 0.201),
        (Usage(input=200_001, output=1_000), 0.403002),  # all tokens, not only those above
        (Usage(input=1, cache_read=200_000, output=1_000), 0.403002),  # cached ones count
        (Usage(output=10**6), 1.0),  # the size of the answer does not
    ],
)
def test_a_long_prompt_costs_what_its_tier_says(usage, dollars):
    assert cost(TIERED, usage) == round(dollars * 10**9)


def test_what_is_billed_counts_before_what_was_counted():
    price = Price(prompt=10**9, completion=10**9)
    usage = Usage(input=1_452, cache_read=144, output=33, billed_input=33, billed_output=22)
    assert cost(price, usage) == 55_000


def test_pictures_and_sound_by_the_piece():
    price = Price(image=1_300_000, image_output=40_000_000, audio_hour=360_000_000)
    usage = Usage(input_images=2, output_images=3, input_audio_ms=90_000)
    assert cost(price, usage) == 2_600_000 + 120_000_000 + 9_000_000
    assert cost(Price(characters=15 * 10**9), Usage(input_characters=200)) == 3_000_000


def test_the_batch_lane_is_cheaper_by_its_discount():
    price = Price(prompt=10**9, completion=10**9, batch_discount=50)
    usage = Usage(input=10, output=1)
    assert (cost(price, usage), cost(price, usage, tier="batch")) == (11_000, 5_500)


def test_where_no_price_is_known_the_charge_in_the_answer_counts():
    price = Price(as_stated=True)
    assert cost(price, Usage(input=10, output=10, cost_nanos=12_345)) == 12_345
    assert cost(price, Usage(input=10, output=10)) == 0


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 50),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_tokens": None}, 50),
        ({"max_tokens": 7, "n": 3}, 21),  # every choice is billed
        ({"n": 4}, 200),
        ({"n": None}, 50),
    ],
)
def test_the_output_to_hold_for(body, tokens):
    assert requested_output_tokens(body, likely=50) == tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 1),
        ({"messages": [{"role": "user", "content": "a" * 400}]}, 101),
        ({"messages": [{"role": "assistant", "content": None}]}, 1),
        ({"messages": [{"content": [{"type": "text", "text": "a" * 40}]}]}, 11),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {}}] * 2}]}, 2001),
    ],
)
def test_the_input_to_hold_for(body, tokens):
    assert estimate_input_tokens(body) == tokens


def test_tools_count_as_input():
    tool = {"type": "function", "function": {"name": "f" * 400}}
    assert estimate_input_tokens({"tools": [tool]}) > 100
