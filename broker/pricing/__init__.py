"""Prices, and what calls cost. Pure; integers of nano-dollars throughout.

In reading order: `price` (of an endpoint), `costs` (of a usage), `demand` (a call's likely usage).
"""

from broker.pricing.costs import byok_fee, charge, cost, render_prices, search_cost
from broker.pricing.demand import (
    LIKELY_PICTURE_TOKENS,
    AnswerBounds,
    Demand,
    demand,
    describe,
    likely_cost,
    most_cost,
    speech_tokens,
)
from broker.pricing.price import BATCH_TIER, FLEX_PERCENT, PRIORITY_PERCENT, Price, Tier

__all__ = [
    "BATCH_TIER",
    "FLEX_PERCENT",
    "LIKELY_PICTURE_TOKENS",
    "PRIORITY_PERCENT",
    "AnswerBounds",
    "Demand",
    "Price",
    "Tier",
    "byok_fee",
    "charge",
    "cost",
    "demand",
    "describe",
    "likely_cost",
    "most_cost",
    "render_prices",
    "search_cost",
    "speech_tokens",
]
