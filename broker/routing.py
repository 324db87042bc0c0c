"""Which endpoints may serve a request, in which order, and why. Pure: values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import orjson

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

    def takes(self, needs: frozenset[str]) -> bool:
        """Whether these input modalities may be sent to it."""
        return self.input_modalities is None or needs <= self.input_modalities


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
    needs: frozenset[str] = frozenset(),
) -> Plan:
    """Order the endpoints of `models`: first choice first, within a model the cheapest first.

    `endpoints` holds what each slug can be served by now; those that cannot take the input
    modalities in `needs` are left out. A fallback model that nobody serves is passed over. Raises
    NoEndpointError when nothing is left, or ModalityError when `needs` left nothing.
    """
    able = {
        model: sorted((each for each in endpoints.get(model, ()) if each.takes(needs)), key=_price)
        for model in models
    }
    places = [
        PlannedEndpoint(endpoint, _reason(rank, place))
        for rank, model in enumerate(models)
        for place, endpoint in enumerate(able[model])
    ]
    if not places and any(endpoints.get(model) for model in models):
        raise ModalityError(models, needs)
    if not places:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
        )
    return Plan(places)


def _price(endpoint: Endpoint) -> int:
    return endpoint.price.prompt + endpoint.price.completion


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
                **_modalities(place.endpoint),
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
                ),
                place["reason"],
            )
            for place in orjson.loads(stored)
        ]
    )


def _modalities(endpoint: Endpoint) -> Json:
    known = endpoint.input_modalities
    return {} if known is None else {"input_modalities": sorted(known)}


def _set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)
