"""Imports as they are stored: applied, effective from a moment on, undone, read back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from broker.catalog.changes import Change
from broker.catalog.models import Offer
from broker.completion import Json
from broker.ids import new_id
from broker.pricing import Price
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.endpoints import Endpoint
from broker.storage.tables import CatalogImport, CatalogOffer, table

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
class Said:
    """What an import said of an endpoint, from when on (Unix ms)."""

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


def history(connection: Connection, provider: str, model: str) -> list[Said]:
    """Return all that imports which count have said of an endpoint, oldest first."""
    rows = connection.execute(
        _SAID.where(
            _offers.c.provider == provider,
            _offers.c.model == model,
            _imports.c.undone_at.is_(None),
        ).order_by(*_IN_ORDER)
    )
    return [Said(row.source, row.effective_from, _read(row)) for row in rows]


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
