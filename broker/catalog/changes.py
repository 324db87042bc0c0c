"""What an import would change, and which of it cannot be right. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from broker.catalog.models import Listing, Offer
from broker.pricing import Price, Tier
from broker.providers.endpoint_stats import EndpointKey

TENFOLD = 10
BEYOND_ANY = 2_000 * 10**9  # nano-dollars per million tokens
WATCHED = ("prompt", "completion", "cache_read", "cache_write")
FACTS = (
    *("context_length", "max_completion_tokens", "quantization"),
    *("input_modalities", "supported_parameters"),
)


class Kind(StrEnum):
    NEW = "new"
    PRICE = "price"
    FACTS = "facts"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Change:
    """One endpoint that an import changes."""

    key: EndpointKey
    kind: Kind
    before: Price | None
    offer: Offer | None  # as it would be; None = withdrawn
    doubt: str | None = None  # why it is held back until somebody names it

    @property
    def name(self) -> str:
        """How `--force` names it: provider:author/slug."""
        return ":".join(self.key)


def changes(
    known: Mapping[EndpointKey, Offer],
    listings: Iterable[Listing],
    imported: Iterable[EndpointKey] = (),
) -> list[Change]:
    """Compare a list with what is known. `imported` are endpoints that the list used to have."""
    found, listed = [], set()
    for listing in listings:
        key = listing.offer.key
        listed.add(key)
        change = _change(known.get(key), listing)
        if change is not None:
            found.append(change)
    gone = [key for key in imported if key not in listed]
    withdrawn = [Change(key, Kind.WITHDRAWN, known[key].endpoint.price, None) for key in gone]
    return sorted([*found, *withdrawn], key=lambda change: change.key)


def _change(known: Offer | None, listing: Listing) -> Change | None:
    if known is None:
        if not listing.prices and not listing.as_stated:
            return None  # nobody knows what it costs
        offer = _with_price(listing.offer, priced(Price(), listing))
        return Change(offer.key, Kind.NEW, None, offer, doubt(None, offer.endpoint.price))
    before = known.endpoint.price
    offer = _with_price(_over(known, listing.offer), priced(before, listing))
    after = offer.endpoint.price
    if after != before:
        return Change(offer.key, Kind.PRICE, before, offer, doubt(before, after))
    return Change(offer.key, Kind.FACTS, before, offer) if offer != known else None


def priced(known: Price, listing: Listing) -> Price:
    """Put a list's prices over those that are known.

    What the list does not tell stays as long as its main prices are those that are known; of
    another price the rest is not known. Discounts and shares in per cent stay.
    """
    if listing.as_stated:
        return Price(as_stated=True)
    if not listing.prices:
        return known
    same = all(getattr(known, name) == value for name, value in listing.prices.items()
               if name in ("prompt", "completion"))  # fmt: skip
    kept = known if same else _percents(known)
    flat = replace(kept, **listing.prices, tiers=())  # type: ignore[arg-type]
    tiers = tuple(
        Tier(size, replace(flat, **prices))  # type: ignore[arg-type]
        for size, prices in sorted(listing.tiers.items())
    )
    return replace(flat, tiers=tiers or kept.tiers)


def _percents(known: Price) -> Price:
    """Return only what is told in per cent of the rest."""
    return Price(
        batch_discount=known.batch_discount,
        flex_percent=known.flex_percent,
        priority_percent=known.priority_percent,
    )


def doubt(before: Price | None, after: Price) -> str | None:
    """Say why a price cannot be right, if it is beyond all others or moved tenfold."""
    if max(after.prompt, after.completion) > BEYOND_ANY:
        return "more than 2,000 USD per million tokens"
    if before is None:
        return None
    return next(_moves(before, after), None)


def _moves(before: Price, after: Price) -> Iterator[str]:
    for name in WATCHED:
        old, new = getattr(before, name), getattr(after, name)
        if not old or new is None:
            continue
        if new == 0 and name in ("prompt", "completion"):
            yield f"{name} would be free"
        elif new and (new >= TENFOLD * old or old >= TENFOLD * new):
            yield f"{name} moved {'up' if new > old else 'down'} tenfold or more"


def _over(known: Offer, said: Offer) -> Offer:
    """Put what a list says of an endpoint over what is known of it."""
    stated = {name: value for name in FACTS if (value := getattr(said.endpoint, name)) is not None}
    told = {
        each.name: value
        for each in fields(Offer)
        if each.name not in ("endpoint", "name") and (value := getattr(said, each.name)) is not None
    }
    endpoint = replace(known.endpoint, **stated)
    return replace(known, endpoint=endpoint, name=known.name or said.name, **told)


def _with_price(offer: Offer, price: Price) -> Offer:
    return replace(offer, endpoint=replace(offer.endpoint, price=price))
