from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import Completion, Usage
from broker.pricing import (
    Price,
    asked_output_tokens,
    charge,
    cost,
    estimate_input_tokens,
    quote,
)

NANOS = st.integers(0, 10**13)
TOKENS = st.none() | st.integers(0, 10**9)
PRICES = st.builds(Price, NANOS, NANOS, st.none() | NANOS, st.none() | NANOS, NANOS)
USAGES = st.builds(Usage, input=TOKENS, cache_read=TOKENS, cache_write=TOKENS, output=TOKENS)


@given(PRICES, USAGES)
def test_cost_is_exact_and_rounded_half_up_once(price, usage):
    read = price.prompt if price.cache_read is None else price.cache_read
    write = price.prompt if price.cache_write is None else price.cache_write
    exact = price.request + Fraction(
        (usage.input or 0) * price.prompt
        + (usage.cache_read or 0) * read
        + (usage.cache_write or 0) * write
        + (usage.output or 0) * price.completion,
        1_000_000,
    )
    assert cost(price, usage) == floor(exact + Fraction(1, 2))


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


@given(PRICES, USAGES)
def test_more_tokens_never_cost_less(price, usage):
    more = replace(usage, output=(usage.output or 0) + 1)
    assert cost(price, more) >= cost(price, usage) >= 0


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


def test_a_quote_is_the_cost_without_a_cache():
    price = Price(prompt=10**9, completion=2 * 10**9, cache_read=1, request=5)
    assert quote(price, input_tokens=10, output_tokens=20) == 50_005


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
    assert asked_output_tokens(body, likely=50) == tokens


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
