"""The prices of an endpoint: integers with units.

A price is nano-dollars per *million* tokens, so that every list price is a whole number
(0.0375 USD per million = 37_500_000).
"""

from dataclasses import fields, replace
from typing import Any

from broker.completion import Json
from broker.values import immutable

BATCH_TIER = "batch"
"""The `service_tier` of a call in a native batch."""

FLEX_PERCENT = 50
PRIORITY_PERCENT = 200
"""Usual prices of service tiers, in per cent of the standard price."""

TIER_NAMES = {"fast": "priority"}
"""Vendors' other names for a tier."""


AUTO = "auto"
"""A quality or size that the vendor chooses."""


@immutable
class PictureRate:
    """The price of a picture of one quality, one size, or both; None stands for any."""

    quality: str | None
    size: str | None
    nanos: int  # nano-dollars per picture made

    def fits(self, quality: str | None, size: str | None, *, surely: bool) -> bool:
        """Return whether a picture has this price: `surely`, or as far as its kind is known."""
        pairs = ((self.quality, quality), (self.size, size))
        return all(
            rate is None or rate == kind or (not surely and kind in (None, AUTO))
            for rate, kind in pairs
        )


@immutable
class Price:
    """One endpoint's prices. Nano-dollars per million tokens unless a comment says otherwise.

    None means that an item has no price of its own: the comment names the price that applies.
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
    batch_discount: int = 0  # per cent off in a native batch
    flex_percent: int = FLEX_PERCENT  # of these prices, where the tier `flex` served the call
    priority_percent: int = PRIORITY_PERCENT  # likewise of the tier `priority`
    as_stated: bool = False  # unknown in advance: the charge in the provider's answer counts
    pictures: tuple[PictureRate, ...] = ()  # of pictures made, before `image_output`
    tiers: "tuple[Tier, ...]" = ()  # ascending

    @property
    def is_free(self) -> bool:
        """Return whether everything is free; search tools are not counted."""
        return not (self.as_stated or any(rate.nanos for rate in self.pictures)) and not any(
            getattr(each, name) for each in (self, *(t.price for t in self.tiers)) for name in COSTS
        )

    def percent(self, service_tier: str | None) -> int:
        """Return the share of these prices, in per cent, that a call of this tier costs."""
        if service_tier == BATCH_TIER:
            return 100 - self.batch_discount
        return {"flex": self.flex_percent, "priority": self.priority_percent}.get(
            TIER_NAMES.get(service_tier or "", service_tier or ""), 100
        )

    def of_picture(self, quality: str | None, size: str | None) -> "Price":
        """Return the prices of a call whose pictures have this quality and this size.

        Where the vendor chose and does not say what, `image_output` counts, if there is one.
        """
        sure = [rate.nanos for rate in self.pictures if rate.fits(quality, size, surely=True)]
        if sure or self.image_output:
            return _with_picture(self, (sure or [self.image_output])[0])
        return self.of_highest_rate(quality, size)

    def of_highest_rate(self, quality: str | None, size: str | None) -> "Price":
        """Return the prices with the highest of a picture of a kind that may be chosen later."""
        rates = [rate.nanos for rate in self.pictures if rate.fits(quality, size, surely=False)]
        return _with_picture(self, max([self.image_output, *rates]))

    def at(self, prompt_tokens: int) -> "Price":
        """Return the prices of a prompt of this size (cached tokens included): one tier for all."""
        for tier in reversed(self.tiers):
            if prompt_tokens >= tier.min_prompt_tokens:
                return tier.price
        return self

    def encode(self) -> Json:
        """Return the price as JSON without default values, for `Price.decode`."""
        stored = {
            name: value for name in _NAMES if (value := getattr(self, name)) != _DEFAULTS[name]
        }
        if self.pictures:
            stored["pictures"] = [[each.quality, each.size, each.nanos] for each in self.pictures]
        if self.tiers:
            stored["tiers"] = [[tier.min_prompt_tokens, tier.price.encode()] for tier in self.tiers]
        return stored

    @classmethod
    def decode(cls, stored: Json) -> "Price":
        """Read the JSON of `encode`, also that of an earlier version with fewer prices."""
        tiers = tuple(Tier(size, cls.decode(price)) for size, price in stored.get("tiers") or ())
        pictures = tuple(PictureRate(*rate) for rate in stored.get("pictures") or ())
        return cls(**{**stored, "tiers": tiers, "pictures": pictures})


@immutable
class Tier:
    """The prices of all tokens once a prompt is this long."""

    min_prompt_tokens: int
    price: Price  # whole, without tiers of its own


def _with_picture(price: Price, nanos: int) -> Price:
    """Return a price with one price for each picture made."""
    if not price.pictures:
        return price
    tiers = tuple(
        replace(each, price=replace(each.price, image_output=nanos)) for each in price.tiers
    )
    return replace(price, image_output=nanos, pictures=(), tiers=tiers)


COSTS = tuple(
    each.name
    for each in fields(Price)
    if each.name
    not in (
        *("batch_discount", "flex_percent", "priority_percent"),
        *("as_stated", "pictures", "tiers", "web_search"),
    )
)
"""The fields of a price that are money for an ordinary call."""

_DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Price)}
_NAMES = tuple(name for name in _DEFAULTS if name not in ("pictures", "tiers"))
