"""Prices of an endpoint: integers, each with its unit.

A price is nano-dollars per *million* tokens, so that every list price is a whole number
(0.0375 USD per million = 37_500_000).
"""

from dataclasses import dataclass, fields
from typing import Any

from broker.completion import Json

BATCH_TIER = "batch"
"""The `service_tier` of a call that went through the provider's own batch lane."""

FLEX_PERCENT = 50
PRIORITY_PERCENT = 200
"""Usual prices of service tiers, in per cent of the standard price."""

TIER_NAMES = {"fast": "priority"}
"""Vendors' other names for a tier."""


@dataclass(frozen=True, slots=True)
class Price:
    """One endpoint's prices. Nano-dollars per million tokens unless a comment says otherwise.

    None means that the thing has no price of its own: it costs what the comment names.
    """

    prompt: int = 0  # fresh input tokens
    completion: int = 0  # output tokens
    cache_read: int | None = None  # else: as prompt
    cache_write: int | None = None  # else: as prompt
    request: int = 0  # nano-dollars per call
    cache_write_1h: int | None = None  # a cache kept for an hour; else: as cache_write
    reasoning: int | None = None  # else: as completion
    audio: int | None = None  # input; else: as prompt
    audio_output: int | None = None  # else: as completion
    image_token: int | None = None  # input; else: as prompt
    image_output_token: int | None = None  # else: as completion
    image: int = 0  # nano-dollars per picture sent
    image_output: int = 0  # nano-dollars per picture made
    characters: int = 0  # nano-dollars per million characters to speak
    audio_hour: int = 0  # nano-dollars per hour of sound sent, where tokens are not counted
    page: int = 0  # nano-dollars per page of a document sent
    web_search: int | None = None  # nano-dollars per search by the vendor's own tool; else: unknown
    batch_discount: int = 0  # per cent off in the provider's own batch lane
    flex_percent: int = FLEX_PERCENT  # of these prices, where the tier `flex` served the call
    priority_percent: int = PRIORITY_PERCENT  # likewise of the tier `priority`
    as_stated: bool = False  # not known in advance: the charge in the provider's answer counts
    tiers: "tuple[Tier, ...]" = ()  # ascending

    @property
    def is_free(self) -> bool:
        """Return whether everything is free; search tools are not counted."""
        return not self.as_stated and not any(
            getattr(each, name) for each in (self, *(t.price for t in self.tiers)) for name in COSTS
        )

    def percent(self, service_tier: str | None) -> int:
        """Return the share of these prices, in per cent, that a call of this tier costs."""
        if service_tier == BATCH_TIER:
            return 100 - self.batch_discount
        return {"flex": self.flex_percent, "priority": self.priority_percent}.get(
            TIER_NAMES.get(service_tier or "", service_tier or ""), 100
        )

    def at(self, prompt_tokens: int) -> "Price":
        """Return the prices of a prompt of this size (cached tokens included): one tier for all."""
        for tier in reversed(self.tiers):
            if prompt_tokens >= tier.min_prompt_tokens:
                return tier.price
        return self

    def stored(self) -> Json:
        """Return it as JSON, without what is as usual; `Price.recalled` reads it back."""
        told = {name: value for name in _NAMES if (value := getattr(self, name)) != _USUAL[name]}
        if self.tiers:
            told["tiers"] = [[tier.min_prompt_tokens, tier.price.stored()] for tier in self.tiers]
        return told

    @classmethod
    def recalled(cls, stored: Json) -> "Price":
        """Read what `stored` wrote, also in an earlier version that knew fewer prices."""
        tiers = tuple(Tier(size, cls.recalled(price)) for size, price in stored.get("tiers") or ())
        return cls(**{**stored, "tiers": tiers})


@dataclass(frozen=True, slots=True)
class Tier:
    """The prices of all tokens once a prompt is this long."""

    min_prompt_tokens: int
    price: Price  # whole, without tiers of its own


COSTS = tuple(
    each.name
    for each in fields(Price)
    if each.name
    not in (
        *("batch_discount", "flex_percent", "priority_percent"),
        *("as_stated", "tiers", "web_search"),
    )
)
"""The fields of a price that are money for an ordinary call."""

_USUAL: dict[str, Any] = {each.name: each.default for each in fields(Price)}
_NAMES = tuple(name for name in _USUAL if name != "tiers")
