"""What a call may cost and what it did cost. Pure; integers of nano-dollars throughout.

In reading order: `price` (what an endpoint asks), `costs` (of a usage), `sent` (what a body holds),
`estimates` (its tokens), `demand` (what a call may consume), `search_fees` (vendors' own tools),
`listing` (as callers see prices).
"""

from broker.pricing.costs import byok_fee, charge, cost, search_cost
from broker.pricing.demand import (
    LIKELY_PICTURE_TOKENS,
    Demand,
    Limits,
    demand,
    likely_cost,
    most_cost,
    speech_tokens,
    words,
)
from broker.pricing.listing import listed
from broker.pricing.price import BATCH_TIER, FLEX_PERCENT, PRIORITY_PERCENT, Price, Tier

__all__ = [
    "BATCH_TIER",
    "FLEX_PERCENT",
    "LIKELY_PICTURE_TOKENS",
    "PRIORITY_PERCENT",
    "Demand",
    "Limits",
    "Price",
    "Tier",
    "byok_fee",
    "charge",
    "cost",
    "demand",
    "likely_cost",
    "listed",
    "most_cost",
    "search_cost",
    "speech_tokens",
    "words",
]
