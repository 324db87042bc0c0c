"""What a call may cost and what it did cost. Pure; integers of nano-dollars throughout.

In reading order: `price` (what an endpoint asks), `costs` (of a usage), `estimates` (before there
is one), `listing` (as callers see prices).
"""

from broker.pricing.costs import byok_fee, charge, cost, quote
from broker.pricing.estimates import (
    CHARACTERS_PER_TOKEN,
    asked_output_tokens,
    estimate_input_tokens,
)
from broker.pricing.listing import listed
from broker.pricing.price import Price, Tier

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Price",
    "Tier",
    "asked_output_tokens",
    "byok_fee",
    "charge",
    "cost",
    "estimate_input_tokens",
    "listed",
    "quote",
]
