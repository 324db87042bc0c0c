"""Prices as OpenRouter writes them: decimal strings of US dollars per unit."""

from decimal import Decimal

from broker.completion import Json
from broker.money import usd_text
from broker.pricing.costs import MILLION
from broker.pricing.price import Price

ALWAYS = {"prompt": "prompt", "completion": "completion"}
IF_OWN = {
    "internal_reasoning": "reasoning",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "audio": "audio",
    "audio_output": "audio_output",
    "image_token": "image_token",
}
"""OpenRouter's names for what is priced by the token; `image_output` there is a picture."""


def listed(price: Price) -> Json:
    """Return the prices under OpenRouter's names, each in US dollars per token, picture or call.

    What has no price of its own is left out. `overrides` are the prices of long prompts.
    """
    shown = {
        **_per_token(price),
        "request": usd_text(price.request),
        "image": usd_text(price.image),
    }
    if price.web_search:
        shown["web_search"] = usd_text(price.web_search)
    if price.image_output:
        shown["image_output"] = usd_text(price.image_output)
    if price.tiers:
        shown["overrides"] = [
            {"min_prompt_tokens": tier.min_prompt_tokens, **_per_token(tier.price)}
            for tier in price.tiers
        ]
    return shown


def _per_token(price: Price) -> Json:
    own = {shown: getattr(price, name) for shown, name in (ALWAYS | IF_OWN).items()}
    return {
        name: usd_text(Decimal(nanos) / MILLION) for name, nanos in own.items() if nanos is not None
    }
