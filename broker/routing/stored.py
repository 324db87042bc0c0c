"""A plan as it is stored with its job."""

from collections.abc import Sequence

import orjson

from broker.completion import Json
from broker.pricing import Price
from broker.routing.endpoint import Endpoint
from broker.routing.plans import Plan, PlannedEndpoint


def encode(planned: Plan) -> bytes:
    """A plan as the JSON that is stored with its job and shown to its owner."""
    return orjson.dumps(
        [
            {
                "provider": place.endpoint.provider,
                "model": place.endpoint.model,
                "native_model": place.endpoint.native,
                "reason": place.reason,
                "price": place.endpoint.price.stored(),
                **_facts(place.endpoint),
            }
            for place in planned.places
        ]
    )


def decode(stored: bytes) -> Plan:
    """Read back what `encode` wrote: what an attempt needs, prices as they were quoted."""
    return Plan(
        [
            PlannedEndpoint(
                Endpoint(
                    provider=place["provider"],
                    model=place["model"],
                    native=place["native_model"],
                    price=Price.recalled(place["price"]),
                    context_length=place.get("context_length"),
                    input_modalities=_set(place.get("input_modalities")),
                    supported_parameters=_set(place.get("supported_parameters")),
                ),
                place["reason"],
            )
            for place in orjson.loads(stored)
        ]
    )


def _facts(endpoint: Endpoint) -> Json:
    facts = {
        "input_modalities": endpoint.input_modalities,
        "supported_parameters": endpoint.supported_parameters,
    }
    told: Json = {name: sorted(known) for name, known in facts.items() if known is not None}
    if endpoint.context_length is not None:
        told["context_length"] = endpoint.context_length
    return told


def _set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
