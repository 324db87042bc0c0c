"""A plan: the endpoints a job tries, in order, with reasons; and its stored form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from broker.completion import Json
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.routing.filters import Exclusion


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """A place in a plan, with the reason for it."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    places: Sequence[PlannedEndpoint]
    excluded: Sequence[Exclusion] = ()
    strategy: str = "balanced"  # what ordered the places
    seed: int = 0  # of the dice: the same request, evidence and seed give the same plan
    notes: Sequence[str] = ()  # what in the request had no effect
    choice: Json | None = None  # an auto router's: what it saw, chose, and why

    def __getitem__(self, position: int) -> Endpoint:
        return self.places[position].endpoint

    def __len__(self) -> int:
        return len(self.places)

    def keeping(self, kept: Sequence[int], code: str) -> "Plan":
        """Return the plan with these places only; `code` says why the others have none."""
        left = [each for n, each in enumerate(self.places) if n not in kept]
        out = (Exclusion(each.endpoint.provider, each.endpoint.model, code) for each in left)
        return replace(self, places=[self.places[n] for n in kept], excluded=(*self.excluded, *out))

    def next_model(self, position: int) -> int | None:
        """Return the first later place that serves another model, if there is one."""
        model = self[position].model
        later = range(position + 1, len(self.places))
        return next((place for place in later if self[place].model != model), None)


MOST_EXCLUSIONS = 50
"""A stored plan names no more of those that have no place in it."""


def encode(planned: Plan) -> bytes:
    """A plan as the JSON that is stored with its job; `decode` reads it back."""
    told: Json = {
        "places": [_place(each) for each in planned.places],
        "strategy": planned.strategy,
        "seed": planned.seed,
    }
    if planned.excluded:
        told["excluded"] = [
            (each.provider, each.model, each.code, each.detail)
            for each in planned.excluded[:MOST_EXCLUSIONS]
        ]
    if planned.notes:
        told["notes"] = planned.notes
    if planned.choice:
        told["choice"] = planned.choice
    return orjson.dumps(told)


def decode(stored: bytes) -> Plan:
    """Read back what `encode` wrote: what an attempt needs, prices as they were quoted."""
    told = orjson.loads(stored)
    if isinstance(told, list):  # the places alone, as they were stored before 2026-11-25
        told = {"places": told}
    return Plan(
        places=[_recalled(place) for place in told["places"]],
        excluded=tuple(Exclusion(*each) for each in told.get("excluded", ())),
        strategy=told.get("strategy", "price"),
        seed=told.get("seed", 0),
        notes=tuple(told.get("notes", ())),
        choice=told.get("choice"),
    )


def _place(planned: PlannedEndpoint) -> Json:
    endpoint = planned.endpoint
    return {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "native_model": endpoint.native,
        "reason": planned.reason,
        "price": endpoint.price.stored(),
        **_facts(endpoint),
    }


def _recalled(place: Json) -> PlannedEndpoint:
    endpoint = Endpoint(
        provider=place["provider"],
        model=place["model"],
        native=place["native_model"],
        price=Price.recalled(place["price"]),
        context_length=place.get("context_length"),
        input_modalities=_set(place.get("input_modalities")),
        supported_parameters=_set(place.get("supported_parameters")),
        credential=place.get("credential"),
    )
    return PlannedEndpoint(endpoint, place["reason"])


def _facts(endpoint: Endpoint) -> Json:
    facts = {
        "input_modalities": endpoint.input_modalities,
        "supported_parameters": endpoint.supported_parameters,
    }
    told: Json = {name: sorted(known) for name, known in facts.items() if known is not None}
    if endpoint.credential is not None:
        told["credential"] = endpoint.credential
    if endpoint.context_length is not None:
        told["context_length"] = endpoint.context_length
    return told


def _set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
