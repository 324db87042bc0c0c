"""Imports of prices and facts: find their changes, apply, undo and read them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, func, insert, select, update

from broker.catalog.models import Listing, Offer
from broker.completion import Json
from broker.ids import new_id
from broker.pricing import Price, Tier
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.endpoints import Endpoint
from broker.storage.tables import CatalogImport, CatalogOffer, columns, table

TENFOLD = 10
MAX_PLAUSIBLE_NANOS = 2_000 * 10**9  # nano-dollars per million tokens
COMPARED_PRICES = ("prompt", "completion", "cache_read", "cache_write")
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
    offer: Offer | None  # the offer after the change; None = withdrawn
    doubt: str | None = None  # the reason to apply it only when it is named with `--force`

    @property
    def name(self) -> str:
        """Return its name for `--force`: provider:author/slug."""
        return ":".join(self.key)


def find_changes(
    known: Mapping[EndpointKey, Offer],
    listings: Iterable[Listing],
    imported: Iterable[EndpointKey] = (),
) -> list[Change]:
    """Return the differences of a list from the known offers.

    `imported` are the endpoints of an earlier import of the list: those missing now are withdrawn.
    """
    found, listed = [], set()
    for listing in listings:
        key = listing.offer.key
        listed.add(key)
        change = _find_change(known.get(key), listing)
        if change is not None:
            found.append(change)
    missing = [key for key in imported if key not in listed]
    withdrawn = [Change(key, Kind.WITHDRAWN, known[key].endpoint.price, None) for key in missing]
    return sorted([*found, *withdrawn], key=lambda change: change.key)


def _find_change(known: Offer | None, listing: Listing) -> Change | None:
    if known is None:
        if not listing.prices and not listing.as_stated:
            return None  # it has no known price
        offer = _with_price(listing.offer, merge_price(Price(), listing))
        return Change(offer.key, Kind.NEW, None, offer, find_doubt(None, offer.endpoint.price))
    before = known.endpoint.price
    offer = _with_price(_merge_offer(known, listing.offer), merge_price(before, listing))
    after = offer.endpoint.price
    if after != before:
        return Change(offer.key, Kind.PRICE, before, offer, find_doubt(before, after))
    return Change(offer.key, Kind.FACTS, before, offer) if offer != known else None


def merge_price(known: Price, listing: Listing) -> Price:
    """Return the known prices, overridden by those of a list.

    Prices that the list does not state stay if its main prices equal the known ones. Otherwise
    they become unknown. Discounts and shares in per cent always stay.
    """
    if listing.as_stated:
        return Price(as_stated=True)
    if not listing.prices:
        return known
    is_same_price = all(getattr(known, name) == value for name, value in listing.prices.items()
               if name in ("prompt", "completion"))  # fmt: skip
    base = known if is_same_price else _keep_percents(known)
    flat = replace(base, **listing.prices, tiers=())  # type: ignore[arg-type]
    tiers = tuple(
        Tier(size, replace(flat, **prices))  # type: ignore[arg-type]
        for size, prices in sorted(listing.tiers.items())
    )
    return replace(flat, tiers=tiers or base.tiers)


def _keep_percents(known: Price) -> Price:
    """Return only the discounts and shares in per cent."""
    return Price(
        batch_discount=known.batch_discount,
        flex_percent=known.flex_percent,
        priority_percent=known.priority_percent,
    )


def find_doubt(before: Price | None, after: Price) -> str | None:
    """Return the reason why a price is implausible: too high, or changed tenfold."""
    if max(after.prompt, after.completion) > MAX_PLAUSIBLE_NANOS:
        return "more than 2,000 USD per million tokens"
    if before is None:
        return None
    return next(_find_large_changes(before, after), None)


def _find_large_changes(before: Price, after: Price) -> Iterator[str]:
    for name in COMPARED_PRICES:
        old, new = getattr(before, name), getattr(after, name)
        if not old or new is None:
            continue
        if new == 0 and name in ("prompt", "completion"):
            yield f"{name} would be free"
        elif new and (new >= TENFOLD * old or old >= TENFOLD * new):
            yield f"{name} moved {'up' if new > old else 'down'} tenfold or more"


def _merge_offer(known: Offer, listed: Offer) -> Offer:
    """Return the known offer, overridden by the facts of a list."""
    stated = {
        name: value for name in FACTS if (value := getattr(listed.endpoint, name)) is not None
    }
    facts = {
        each.name: value
        for each in fields(Offer)
        if each.name not in ("endpoint", "name")
        and (value := getattr(listed, each.name)) is not None
    }
    endpoint = replace(known.endpoint, **stated)
    return replace(known, endpoint=endpoint, name=known.name or listed.name, **facts)


def _with_price(offer: Offer, price: Price) -> Offer:
    return replace(offer, endpoint=replace(offer.endpoint, price=price))


_imports = table(CatalogImport)
_offers = table(CatalogOffer)


class _OfferRow(Protocol):
    provider: str
    model: str
    effective_from: int  # Unix ms
    offer: str | None  # JSON; None = withdrawn
    source: str


_SELECT = select(*columns(_OfferRow, _offers, _imports)).join(
    _imports, _imports.c.id == _offers.c.import_id
)
_ORDER = (_offers.c.effective_from, _offers.c.import_id)

ENDPOINT_FACTS = ("native", "context_length", "max_completion_tokens", "quantization")
OFFER_FACTS = ("name", "created", "knowledge_cutoff", "expires", "deprecated")
SETS = ("input_modalities", "supported_parameters")


@dataclass(frozen=True, slots=True)
class ImportedOffer:
    """An endpoint in an import. `effective_from` is in Unix ms; no offer means withdrawn."""

    source: str
    effective_from: int
    offer: Offer | None


def apply(connection: Connection, changes: Sequence[Change], *, source: str, now: int) -> str:
    """Store an import's changes, effective from `now`; return the import's id."""
    import_id = new_id("imp_")
    connection.execute(
        insert(_imports).values(id=import_id, source=source, changes=len(changes), applied_at=now)
    )
    rows = [
        {
            "import_id": import_id,
            "provider": change.key[0],
            "model": change.key[1],
            "effective_from": now,
            "offer": None if change.offer is None else _encode(change.offer),
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(_offers), rows)
    return import_id


def undo(connection: Connection, *, now: int) -> str | None:
    """Undo the last import that is not undone; return its source, or None without one."""
    last = connection.execute(
        select(_imports.c.id, _imports.c.source)
        .where(_imports.c.undone_at.is_(None))
        .order_by(_imports.c.applied_at.desc(), _imports.c.id.desc())
        .limit(1)
    ).first()
    if last is None:
        return None
    connection.execute(update(_imports).where(_imports.c.id == last.id).values(undone_at=now))
    return str(last.source)


def read_version(connection: Connection) -> tuple[int, int]:
    """Return the times (Unix ms) of the last import and the last undo."""
    row = connection.execute(
        select(func.max(_imports.c.applied_at), func.max(_imports.c.undone_at))
    ).one()
    return row[0] or 0, row[1] or 0


def list_current(connection: Connection, now: int) -> list[Offer]:
    """Return the imported offers in effect at `now` (Unix ms)."""
    return [stated for stated, _ in _load_current(connection, now).values()]


def list_imported(connection: Connection, source: str, now: int) -> list[EndpointKey]:
    """Return the endpoints whose offer in effect is from this source."""
    return [key for key, (_, origin) in _load_current(connection, now).items() if origin == source]


def list_history(connection: Connection, provider: str, model: str) -> list[ImportedOffer]:
    """Return the offers for an endpoint from all imports not undone, the oldest first."""
    rows = connection.execute(
        _SELECT.where(
            _offers.c.provider == provider,
            _offers.c.model == model,
            _imports.c.undone_at.is_(None),
        ).order_by(*_ORDER)
    )
    return [ImportedOffer(row.source, row.effective_from, _decode(row)) for row in rows]


def _load_current(connection: Connection, now: int) -> dict[EndpointKey, tuple[Offer, str]]:
    rows = connection.execute(
        _SELECT.where(_offers.c.effective_from <= now, _imports.c.undone_at.is_(None)).order_by(
            *_ORDER
        )
    )
    last = {(row.provider, row.model): row for row in rows}
    return {
        key: (offer, row.source) for key, row in last.items() if (offer := _decode(row)) is not None
    }


def _encode(offer: Offer) -> str:
    endpoint = offer.endpoint
    facts: Json = {name: getattr(endpoint, name) for name in ENDPOINT_FACTS}
    facts |= {name: getattr(offer, name) for name in OFFER_FACTS}
    facts |= {name: _sort(getattr(endpoint, name)) for name in SETS}
    facts |= {"output_modalities": _sort(offer.output_modalities)}
    known = {name: value for name, value in facts.items() if value is not None}
    return orjson.dumps(known | {"price": endpoint.price.encode()}).decode()


def _decode(row: _OfferRow) -> Offer | None:
    if row.offer is None:
        return None
    stored: Json = orjson.loads(row.offer)
    facts: dict[str, Any] = {name: stored.get(name) for name in ENDPOINT_FACTS}
    facts |= {name: frozenset(stored[name]) for name in SETS if name in stored}
    price = Price.decode(stored["price"])
    endpoint = Endpoint(provider=row.provider, model=row.model, price=price, **facts)
    stated = {name: stored.get(name) for name in OFFER_FACTS}
    return Offer(endpoint, **stated, output_modalities=stored.get("output_modalities"))


def _sort(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else sorted(words)
