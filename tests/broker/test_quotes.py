"""What is held: the asked or likely output, never the most that a model could write."""

import pytest

from broker import pricing
from broker.operations import Operation
from broker.pricing import Price
from broker.quotes import UNSTATED_HOLD_NANOS, quotes
from broker.routing import Endpoint, Plan, PlannedEndpoint

PRICE = Price(prompt=1_000_000, completion=1_000_000)  # a nano-dollar a token
TEXT = "x" * 396  # 100 tokens, by the rule of thumb


def quoted(body=None, *, operation=Operation.CHAT, price=PRICE, most_written=None):
    endpoint = Endpoint("p", "m", "n", price=price, max_completion_tokens=most_written)
    asked = {"messages": [{"role": "user", "content": TEXT}]} | (body or {})
    plan = Plan([PlannedEndpoint(endpoint, "only one")])
    inputs = pricing.estimate_input_tokens(asked)
    return quotes(asked, operation, plan, inputs=inputs, likely=1_000, most=16_000)


@pytest.mark.parametrize(
    ("body", "nanos", "words"),
    [
        ({}, 1_100, "max_tokens is not set"),
        ({"max_tokens": 50}, 150, "as asked"),
        ({"max_completion_tokens": 60, "max_tokens": 50}, 160, "as asked"),
        ({"max_tokens": 50, "n": 3}, 250, "as asked"),
        ({"max_tokens": 1_000_000}, 16_100, "of the 1,000,000 asked for"),
    ],
)
def test_what_is_held_and_why(body, nanos, words):
    found = quoted(body)
    assert found.nanos == (nanos,)
    assert words in str(found)


def test_an_endpoint_that_writes_less_holds_less():
    # can1357/oh-my-pi#9569: a max_tokens sent too high must not hold more than can be written
    assert quoted({"max_tokens": 9_000}, most_written=500).nanos == (600,)


def test_what_writes_nothing_holds_its_input():
    found = quoted(operation=Operation.EMBEDDINGS)
    assert (found.nanos, str(found)) == ((100,), "about 100 input tokens")


def test_a_price_that_comes_with_the_answer_holds_a_cent():
    assert quoted(price=Price(as_stated=True)).nanos == (UNSTATED_HOLD_NANOS,)
