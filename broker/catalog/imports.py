"""Imports: the changes that one would make, and imports applied, in effect, undone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from broker.catalog.models import Listing, Offer
from broker.completion import Json
from broker.ids import new_id
from broker.pricing import Price, Tier
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.endpoints import Endpoint
from broker.storage.tables import CatalogImport, CatalogOffer, table

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
        """Return its name for `--force`: provider:author/slug."""
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


_imports = table(CatalogImport)
_offers = table(CatalogOffer)
_SAID = select(
    _offers.c.provider,
    _offers.c.model,
    _offers.c.effective_from,
    _offers.c.offer,
    _imports.c.source,
).join(_imports, _imports.c.id == _offers.c.import_id)
_IN_ORDER = (_offers.c.effective_from, _offers.c.import_id)

ENDPOINT_FACTS = ("native", "context_length", "max_completion_tokens", "quantization")
OFFER_FACTS = ("name", "created", "knowledge_cutoff", "expires", "deprecated")
SETS = ("input_modalities", "supported_parameters")


@dataclass(frozen=True, slots=True)
class ImportedOffer:
    """The facts and prices of an endpoint in an import, and from when they hold (Unix ms)."""

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
            "offer": None if change.offer is None else _written(change.offer),
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(_offers), rows)
    return import_id


def undo(connection: Connection, *, now: int) -> str | None:
    """Undo the last import that counts and return its source; None where there is none."""
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


def version(connection: Connection) -> tuple[int, int]:
    """Return what changes with every import that is applied or undone."""
    row = connection.execute(
        select(func.max(_imports.c.applied_at), func.max(_imports.c.undone_at))
    ).one()
    return row[0] or 0, row[1] or 0


def offers(connection: Connection, now: int) -> list[Offer]:
    """Return what imports say of endpoints at a moment."""
    return [said for said, _ in _current(connection, now).values()]


def imported_from(connection: Connection, source: str, now: int) -> list[EndpointKey]:
    """Return the endpoints that are as an import from this source says."""
    return [key for key, (_, said_by) in _current(connection, now).items() if said_by == source]


def history(connection: Connection, provider: str, model: str) -> list[ImportedOffer]:
    """Return all that imports which count have said of an endpoint, oldest first."""
    rows = connection.execute(
        _SAID.where(
            _offers.c.provider == provider,
            _offers.c.model == model,
            _imports.c.undone_at.is_(None),
        ).order_by(*_IN_ORDER)
    )
    return [ImportedOffer(row.source, row.effective_from, _read(row)) for row in rows]


def _current(connection: Connection, now: int) -> dict[EndpointKey, tuple[Offer, str]]:
    rows = connection.execute(
        _SAID.where(_offers.c.effective_from <= now, _imports.c.undone_at.is_(None)).order_by(
            *_IN_ORDER
        )
    )
    last = {(row.provider, row.model): row for row in rows}
    return {
        key: (offer, row.source) for key, row in last.items() if (offer := _read(row)) is not None
    }


def _written(offer: Offer) -> str:
    endpoint = offer.endpoint
    facts: Json = {name: getattr(endpoint, name) for name in ENDPOINT_FACTS}
    facts |= {name: getattr(offer, name) for name in OFFER_FACTS}
    facts |= {name: _listed(getattr(endpoint, name)) for name in SETS}
    facts |= {"output_modalities": _listed(offer.output_modalities)}
    known = {name: value for name, value in facts.items() if value is not None}
    return orjson.dumps(known | {"price": endpoint.price.stored()}).decode()


def _read(row: Any) -> Offer | None:
    if row.offer is None:
        return None
    said: Mapping[str, Any] = orjson.loads(row.offer)
    facts: dict[str, Any] = {name: said.get(name) for name in ENDPOINT_FACTS}
    facts |= {name: frozenset(said[name]) for name in SETS if name in said}
    price = Price.recalled(said["price"])
    endpoint = Endpoint(provider=row.provider, model=row.model, price=price, **facts)
    told = {name: said.get(name) for name in OFFER_FACTS}
    return Offer(endpoint, **told, output_modalities=said.get("output_modalities"))


def _listed(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else sorted(words)
