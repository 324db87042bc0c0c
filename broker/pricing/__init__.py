"""Prices, and what calls cost. Pure; integers of nano-dollars throughout.

Reading order: `price` (of an endpoint), `costs` (of a usage), `demand` (the estimated usage).
"""

from broker.pricing.costs import byok_fee, charge, cost, render_prices, search_cost
from broker.pricing.demand import (
    LIKELY_PICTURE_TOKENS,
    AnswerBounds,
    Demand,
    compute_likely_cost,
    compute_max_cost,
    describe_usage,
    estimate_demand,
    estimate_speech_tokens,
    read_picture_kind,
)
from broker.pricing.price import (
    BATCH_TIER,
    FLEX_PERCENT,
    PRIORITY_PERCENT,
    PictureRate,
    Price,
    Tier,
)

__all__ = [
    "BATCH_TIER",
    "FLEX_PERCENT",
    "LIKELY_PICTURE_TOKENS",
    "PRIORITY_PERCENT",
    "AnswerBounds",
    "Demand",
    "PictureRate",
    "Price",
    "Tier",
    "byok_fee",
    "charge",
    "compute_likely_cost",
    "compute_max_cost",
    "cost",
    "describe_usage",
    "estimate_demand",
    "estimate_speech_tokens",
    "read_picture_kind",
    "render_prices",
    "search_cost",
]
