"""What can be asked for: models by slug, each with the endpoints that serve it and their prices.

`waybill.toml` comes first; the models of vendors whose key is set come from genai-prices.
"""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.catalog.fit import task_fit
from broker.catalog.priced import priced_models
from broker.errors import NoEndpointError, UnknownModelError
from broker.money import nanos_from_usd
from broker.operations import Operation, serves
from broker.pricing import Price
from broker.providers import Provider
from broker.routing import Endpoint
from broker.settings import EndpointRow, ModelRow, Settings

__all__ = ["FREE", "Catalog", "Model", "load", "task_fit"]

FREE = Price()
MANY = 10  # names in a message


@dataclass(frozen=True, slots=True)
class Model:
    """One model, wherever it is served."""

    slug: str
    name: str
    description: str = ""
    context_length: int | None = None
    input_modalities: Sequence[str] = ("text",)
    output_modalities: Sequence[str] = ("text",)
    supported_parameters: Sequence[str] | None = None
    endpoints: Sequence[Endpoint] = field(default_factory=tuple)


class Catalog:
    """The models that the configured providers serve."""

    def __init__(self, models: Iterable[Model], providers: Mapping[str, Provider]) -> None:
        self.models = {model.slug: model for model in models}
        self._wires = {slug: provider.wire for slug, provider in providers.items()}
        self._open = [p for p in providers.values() if p.vendor and p.vendor.any_model]

    def endpoints(
        self, slugs: Sequence[str], operation: Operation = Operation.CHAT
    ) -> dict[str, Sequence[Endpoint]]:
        """Return the endpoints of each slug whose providers serve the operation.

        Raises UnknownModelError for a model that is not in the catalog, with the names nearest to
        it: a misspelt fallback would be missed only when it is needed.
        """
        found = {slug: self._endpoints_of(slug) for slug in slugs}
        unknown = next((slug for slug, endpoints in found.items() if not endpoints), None)
        if unknown is not None:
            param = "model" if unknown == slugs[0] else "models"
            raise UnknownModelError(self._unknown(unknown), param=param)
        serving: dict[str, Sequence[Endpoint]] = {
            slug: self._serving(each, operation) for slug, each in found.items()
        }
        if not any(serving.values()):
            raise NoEndpointError(
                f"No provider of {slugs[0]!r} serves {operation.value}.", param="model"
            )
        return serving

    def _serving(self, endpoints: Sequence[Endpoint], operation: Operation) -> list[Endpoint]:
        return [each for each in endpoints if serves(self._wires[each.provider], operation)]

    def taking(self, needs: Collection[str], operation: Operation) -> list[str]:
        """Return models that are known to take these input modalities; a few, first names first."""
        wanted = frozenset(needs)
        return sorted(
            slug
            for slug, model in self.models.items()
            if any(
                each.input_modalities is not None and each.takes(wanted)
                for each in self._serving(model.endpoints, operation)
            )
        )[:MANY]

    def _endpoints_of(self, slug: str) -> Sequence[Endpoint]:
        model = self.models.get(slug)
        if model is not None:
            return model.endpoints
        return [
            Endpoint(
                provider=p.slug, model=slug, native=slug.removeprefix(f"{p.slug}/"), price=FREE
            )
            for p in self._open
            if slug.startswith(f"{p.slug}/")
        ]

    def _unknown(self, slug: str) -> str:
        near = difflib.get_close_matches(slug, self.models, n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        return f"Model {slug!r} is not available here.{hint} GET /api/v1/models lists what is."


def load(settings: Settings, providers: Mapping[str, Provider]) -> Catalog:
    """Build the catalog. Raises SystemExit where waybill.toml names an undefined provider."""
    declared = {row.slug: _declared(row, providers) for row in settings.models}
    served: dict[str, list[Endpoint]] = defaultdict(list)
    names: dict[str, str] = {}
    for provider in providers.values():
        for priced in priced_models(provider):
            served[priced.endpoint.model].append(priced.endpoint)
            names.setdefault(priced.endpoint.model, priced.name)
    known = {
        slug: Model(
            slug=slug,
            name=names[slug],
            endpoints=tuple(endpoints),
            context_length=endpoints[0].context_length,
        )
        for slug, endpoints in served.items()
    }
    return Catalog((known | declared).values(), providers)


def _declared(row: ModelRow, providers: Mapping[str, Provider]) -> Model:
    return Model(
        slug=row.slug,
        name=row.name or row.slug,
        description=row.description,
        context_length=row.context_length,
        input_modalities=row.input_modalities or ("text",),
        output_modalities=row.output_modalities,
        supported_parameters=row.supported_parameters,
        endpoints=tuple(_endpoint(row, endpoint, providers) for endpoint in row.endpoints),
    )


def _endpoint(row: ModelRow, endpoint: EndpointRow, providers: Mapping[str, Provider]) -> Endpoint:
    if endpoint.provider not in providers:
        raise SystemExit(
            f"waybill: model {row.slug!r} in waybill.toml names provider {endpoint.provider!r}, "
            "which has no [[providers]] table and no API key in the environment"
        )
    parameters = endpoint.supported_parameters or row.supported_parameters
    return Endpoint(
        provider=endpoint.provider,
        model=row.slug,
        native=endpoint.model,
        price=_price(endpoint),
        context_length=endpoint.context_length or row.context_length,
        max_completion_tokens=endpoint.max_completion_tokens or row.max_completion_tokens,
        quantization=endpoint.quantization or row.quantization,
        supported_parameters=None if parameters is None else frozenset(parameters),
        input_modalities=None if row.input_modalities is None else frozenset(row.input_modalities),
    )


def _price(row: EndpointRow) -> Price:
    """Prices are written in dollars per million tokens, and kept in nano-dollars per million."""
    return Price(
        prompt=nanos_from_usd(row.prompt),
        completion=nanos_from_usd(row.completion),
        cache_read=None if row.cache_read is None else nanos_from_usd(row.cache_read),
        cache_write=None if row.cache_write is None else nanos_from_usd(row.cache_write),
        request=nanos_from_usd(row.request),
    )
