"""Which endpoints may serve a request, in which order, and why. Pure: values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NoReturn

import orjson

from broker import parameters
from broker.completion import Json
from broker.errors import InvalidRequestError, ModalityError, NoEndpointError
from broker.pricing import Price

MAX_MODELS = 16


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one provider, with its price and limits."""

    provider: str
    model: str  # model slug, `author/name`
    native: str  # the provider's own name for it
    price: Price = field(default_factory=Price)
    context_length: int | None = None
    max_completion_tokens: int | None = None
    quantization: str | None = None
    supported_parameters: frozenset[str] | None = None  # None = all
    input_modalities: frozenset[str] | None = None  # None = unknown: nothing is refused

    def takes(self, modalities: frozenset[str]) -> bool:
        """Whether these input modalities may be sent to it."""
        return self.input_modalities is None or modalities <= self.input_modalities

    def lacks(self, wanted: frozenset[str]) -> frozenset[str]:
        """Return which of these parameters it does not support."""
        if self.supported_parameters is None:
            return frozenset()
        return wanted - parameters.known(self.supported_parameters)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of an endpoint."""

    modalities: frozenset[str] = frozenset()  # input beside text
    parameters: frozenset[str] = frozenset()  # what the body sets
    require_parameters: bool = False  # all of them, or the endpoint is left out

    def met_by(self, endpoint: Endpoint) -> bool:
        required = self.parameters if self.require_parameters else frozenset()
        return endpoint.takes(self.modalities) and not endpoint.lacks(required)


NO_NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """A place in a plan, with the reason for it."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The endpoints a job tries, in order. Never empty."""

    places: Sequence[PlannedEndpoint]

    def __getitem__(self, position: int) -> Endpoint:
        return self.places[position].endpoint

    def __len__(self) -> int:
        return len(self.places)

    def next_model(self, position: int) -> int | None:
        """Return the first later place that serves another model, if there is one."""
        model = self[position].model
        later = range(position + 1, len(self.places))
        return next((place for place in later if self[place].model != model), None)


def requested_models(body: Json) -> list[str]:
    """Return the model slugs a body asks for, first choice first.

    `models` is OpenRouter's fallback list, `route.fallbacks` the other spelling of it.
    Raises InvalidRequestError that names the field.
    """
    route = body.get("route")
    fallbacks = route.get("fallbacks") if isinstance(route, dict) else None
    first = [body["model"]] if body.get("model") else []
    models = list(dict.fromkeys([*first, *(body.get("models") or []), *(fallbacks or [])]))
    if not models:
        raise InvalidRequestError(
            "`model` is missing: name one, e.g. one of GET /api/v1/models.", param="model"
        )
    if len(models) > MAX_MODELS:
        raise InvalidRequestError(
            f"{len(models)} models were named; {MAX_MODELS} is the most a request may.",
            param="models",
        )
    return models


def plan(
    models: Sequence[str],
    endpoints: Mapping[str, Sequence[Endpoint]],
    needs: Needs = NO_NEEDS,
) -> Plan:
    """Order the endpoints of `models`: first choice first, within a model the cheapest first.

    `endpoints` holds what each slug can be served by now; those that do not meet `needs` are left
    out, those that lack a preferred parameter come last. A fallback model that nobody serves is
    passed over. Raises NoEndpointError when nothing is left, or ModalityError when it was the
    modalities that left nothing.
    """

    def order(endpoint: Endpoint) -> tuple[int, int]:
        lacking = endpoint.lacks(needs.parameters & parameters.PREFERRED)
        return len(lacking), endpoint.price.prompt + endpoint.price.completion

    able = {
        model: sorted((each for each in endpoints.get(model, ()) if needs.met_by(each)), key=order)
        for model in models
    }
    places = [
        PlannedEndpoint(endpoint, _reason(rank, place))
        for rank, model in enumerate(models)
        for place, endpoint in enumerate(able[model])
    ]
    if not places:
        _refuse(models, endpoints, needs)
    return Plan(places)


def _refuse(
    models: Sequence[str], endpoints: Mapping[str, Sequence[Endpoint]], needs: Needs
) -> NoReturn:
    """Say what left nothing."""
    served = [endpoint for model in models for endpoint in endpoints.get(model, ())]
    if not served:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
        )
    if not any(endpoint.takes(needs.modalities) for endpoint in served):
        raise ModalityError(models, needs.modalities)
    lacking = frozenset.intersection(*(each.lacks(needs.parameters) for each in served))
    raise NoEndpointError(
        f"No endpoint of {', '.join(models)} supports all of the request's parameters (lacking: "
        f"{', '.join(sorted(lacking)) or 'a different one each'}), and provider.require_parameters "
        "is set.",
        param="provider.require_parameters",
    )


def _reason(rank: int, place: int) -> str:
    model = "requested model" if rank == 0 else f"fallback model {rank}"
    return f"{model}, {'cheapest endpoint' if place == 0 else f'endpoint {place + 1} by price'}"


def encode(planned: Plan) -> bytes:
    """A plan as the JSON that is stored with its job and shown to its owner."""
    return orjson.dumps(
        [
            {
                "provider": place.endpoint.provider,
                "model": place.endpoint.model,
                "native_model": place.endpoint.native,
                "reason": place.reason,
                "price": asdict(place.endpoint.price),
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
                    price=Price(**place["price"]),
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
    return {name: sorted(known) for name, known in facts.items() if known is not None}


def _set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
