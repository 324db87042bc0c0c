"""The catalog: find models and their endpoints by any of their names; suggest similar names."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from broker.catalog.models import Model
from broker.catalog.names import Namer, build_hint, list_family, list_successors
from broker.errors import NoEndpointError, UnknownModelError
from broker.pricing import Price
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import vendors
from broker.requests.hints import NO_HINTS, find_taken
from broker.requests.operations import (
    PICTURES,
    Interface,
    Operation,
    gives,
    may_give,
    serves,
    supports_interface,
)
from broker.routing import (
    NO_REQUIREMENTS,
    ROUTERS,
    Requirements,
    meets_requirements,
    native_batches,
)
from broker.routing.preferences import find_missing_variant, split_variant

APIS: Mapping[Interface, str] = {
    Interface.RESPONSES: "the Responses API",
    Interface.REALTIME: "a realtime API",
}


def describe_remedy(model: Model, providers: Collection[str], wires: Mapping[str, str]) -> str:
    """Describe why a known model is not available: its API, or a missing key."""
    for each in model.endpoints:
        if each.provider in providers and not supports_interface(
            wires[each.provider], each.interface
        ):
            return (
                f"{each.provider} serves it by {APIS[each.interface]} only, which Waybill does not "
                "call."
            )
    keys = [
        vendors()[each.provider].key[0].replace(":", " and ")
        for each in model.endpoints
        if each.provider in vendors()
        and vendors()[each.provider].key
        and supports_interface(wires[each.provider], each.interface)
    ]
    if not keys:
        return "no provider serves it by an API that Waybill calls."
    return f"its operator would set {' or '.join(dict.fromkeys(keys[:3]))}."


FREE = Price()
MAX_NAME_LENGTH = 256  # characters; a longer name is unknown
MAX_NAMES = 10  # names in a message
LATEST = "~"
MAX_CACHED = 100  # cached sets of workspace credentials' providers
NO_PROVIDERS: frozenset[str] = frozenset()
TEXT = frozenset({"text"})


class Catalog:
    """All known models, and their endpoints at the configured providers.

    `models` are the offered ones: listings show them, routers choose from them, hints suggest them.
    A retired endpoint is not offered. It still serves requests that name its model, if no other
    endpoint does. An endpoint behind an API that its wire lacks serves no request.
    """

    def __init__(
        self, models: Iterable[Model], providers: Mapping[str, Provider], namer: Namer | None = None
    ) -> None:
        self.all_models = {model.slug: model for model in models}
        self.providers = providers
        self._wires = {vendor.slug: vendor.wire for vendor in vendors().values()} | {
            slug: provider.wire for slug, provider in providers.items()
        }
        self._reachable: dict[frozenset[str], Mapping[str, Model]] = {}
        self.models = self.list_reachable()
        self._namer = namer or Namer(())
        self._by_operation: dict[tuple[Operation, frozenset[str]], dict[str, Sequence[Endpoint]]]
        self._by_operation = {}
        self._any_model_providers = {
            p.slug for p in providers.values() if p.vendor and p.vendor.any_model
        }

    def list_reachable(self, also: Collection[str] = ()) -> Mapping[str, Model]:
        """Return the models that the configured providers offer, and those of `also`."""
        extra = frozenset(also).difference(self.providers)
        if extra not in self._reachable:
            if len(self._reachable) >= MAX_CACHED:
                self._reachable = {NO_PROVIDERS: self.models}
            slugs = self.providers.keys() | extra
            self._reachable[extra] = {
                slug: offered
                for slug, model in self.all_models.items()
                if (offered := self._filter_offered(model, slugs)).endpoints
            }
        return self._reachable[extra]

    def endpoints(
        self,
        slugs: Sequence[str],
        operation: Operation = Operation.CHAT,
        also: Collection[str] = (),
        requirements: Requirements = NO_REQUIREMENTS,
    ) -> dict[str, Sequence[Endpoint]]:
        """Return the endpoints of each slug that serve the operation.

        `also` are providers for which the workspace has a credential. Where a router is named, the
        result includes all models that it may choose from. `requirements` decide which model
        `~author/family-latest` is. Raises UnknownModelError for an unknown model, also for a
        fallback, with similar names.
        """
        named = [slug for slug in slugs if slug not in ROUTERS]
        found = {slug: self._find_routed(slug, operation, also, requirements) for slug in named}
        unknown = next((slug for slug, endpoints in found.items() if not endpoints), None)
        if unknown is not None:
            param = "model" if unknown == slugs[0] else "models"
            raise UnknownModelError(self._describe_unknown(unknown, operation), param=param)
        serving: dict[str, Sequence[Endpoint]] = {
            slug: self._filter_serving(each, operation) for slug, each in found.items()
        }
        if len(named) < len(slugs):  # a router may choose from all models
            serving = self._list_choosable(operation, also) | serving
        if not any(serving.values()):
            raise NoEndpointError(
                self._describe_unserved(slugs[0], found, operation), param="model"
            )
        return serving

    def _list_choosable(
        self, operation: Operation, also: Collection[str]
    ) -> dict[str, Sequence[Endpoint]]:
        """Return the endpoints that routers may choose from: those known to serve the operation.

        An endpoint with unknown input modalities counts as one for text only.
        """
        key = operation, frozenset(also).difference(self.providers)
        if key not in self._by_operation:
            if len(self._by_operation) >= MAX_CACHED:
                self._by_operation.clear()
            serving = {
                slug: [
                    each
                    if each.input_modalities is not None
                    else replace(each, input_modalities=TEXT)
                    for each in self._filter_serving(model.endpoints, operation)
                    if gives(each.output_modalities, operation)
                ]
                for slug, model in self.list_reachable(also).items()
            }
            self._by_operation[key] = {slug: served for slug, served in serving.items() if served}
        return self._by_operation[key]

    def resolve(self, name: str) -> str | None:
        """Return the slug of the model with this name; None for an unknown name.

        A name is a slug, `~author/family-latest`, an old, dated or bare name, or a provider's id.
        """
        if len(name) > MAX_NAME_LENGTH:
            return None
        if name in self.all_models:
            return name
        if name.startswith(LATEST):
            return self._find_latest(name, self.models, Operation.CHAT, NO_REQUIREMENTS)
        found = self._namer.find(name)
        return found if found in self.all_models else None

    def find(self, name: str) -> Model:
        """Return a model by any of its names, with all its endpoints. Raises UnknownModelError.

        A routing suffix (`:nitro`) is not part of the name.
        """
        slug = self.resolve(name) or self.resolve(split_variant(name)[0])
        if slug is None:
            raise UnknownModelError(self._describe_unknown(name, None), param="model")
        return self.all_models[slug]

    def list_accepting(self, requirements: Collection[str], operation: Operation) -> list[str]:
        """Return the first few models, by slug, that accept these input modalities."""
        modalities = frozenset(requirements)
        return sorted(
            slug
            for slug, endpoints in self._list_choosable(operation, ()).items()
            if any(each.takes(modalities) for each in endpoints)
        )[:MAX_NAMES]

    def _filter_offered(self, model: Model, providers: Collection[str]) -> Model:
        """Return a model with those of its endpoints that can be offered."""
        offered = tuple(e for e in self._filter_callable(model, providers) if not e.retired)
        return model if len(offered) == len(model.endpoints) else replace(model, endpoints=offered)

    def _filter_callable(self, model: Model, providers: Collection[str]) -> Sequence[Endpoint]:
        return [each for each in model.endpoints if each.provider in providers and self.calls(each)]

    def calls(self, endpoint: Endpoint) -> bool:
        """Return whether Waybill calls the API by which the provider serves the model."""
        return supports_interface(self._wires[endpoint.provider], endpoint.interface)

    def _filter_serving(
        self, endpoints: Sequence[Endpoint], operation: Operation
    ) -> list[Endpoint]:
        return [
            replace(
                each,
                wire=self._wires[each.provider],
                hints=self._find_hints(each),
                batched=self._has_batch_api(each, operation),
            )
            for each in endpoints
            if serves(self._wires[each.provider], operation, each.interface)
            and may_give(each.output_modalities, operation)
        ]

    def _find_hints(self, endpoint: Endpoint) -> frozenset[str]:
        provider = self.providers.get(endpoint.provider)
        quirks = NO_HINTS if provider is None else provider.quirks
        return find_taken(self._wires[endpoint.provider], quirks, endpoint.interface)

    def list_operations(self, model: Model) -> list[Operation]:
        """Return the operations that endpoints of a model are known to serve."""
        return [
            operation
            for operation in Operation
            if any(
                gives(each.output_modalities, operation)
                and serves(self._wires[each.provider], operation, each.interface)
                for each in model.endpoints
            )
        ]

    def _has_batch_api(self, endpoint: Endpoint, operation: Operation) -> bool:
        provider = self.providers.get(endpoint.provider)
        return provider is not None and native_batches.supports(
            provider.batches, operation, endpoint.interface
        )

    def _find_routed(
        self, name: str, operation: Operation, also: Collection[str], requirements: Requirements
    ) -> Sequence[Endpoint]:
        """Return the endpoints of a name, with or without a routing suffix."""
        if len(name) > MAX_NAME_LENGTH:
            return ()
        plain = split_variant(name)[0]
        if plain.startswith(LATEST):
            slug = self._find_latest(plain, self.list_reachable(also), operation, requirements)
            return self._find_endpoints(slug, also) if slug else ()
        return self._find_endpoints(name, also) or self._find_endpoints(plain, also)

    def _find_latest(
        self,
        name: str,
        offered: Mapping[str, Model],
        operation: Operation,
        requirements: Requirements,
    ) -> str | None:
        """Return the newest of a family that serves the request; the newest if none does."""
        family = name.removeprefix(LATEST)
        members = list_family(family, offered)
        for slug in members:
            served = self._filter_serving(offered[slug].endpoints, operation)
            if any(meets_requirements(each, requirements) for each in served):
                return slug
        return next(iter(members or list_family(family, self.all_models)), None)

    def _find_endpoints(self, name: str, also: Collection[str]) -> Sequence[Endpoint]:
        slug = self.resolve(name)
        found = [] if slug is None else self._list_callable(slug, also)
        if current := [each for each in found if not each.retired]:
            return current
        for successor in list_successors(slug or name):
            if successor in self.all_models and (served := self._list_callable(successor, also)):
                return served
        if slug is not None:
            return found
        slugs = self._any_model_providers | {slug for slug in also if _serves_any_model(slug)}
        return [
            Endpoint(provider=slug, model=name, native=name.removeprefix(f"{slug}/"), price=FREE)
            for slug in sorted(slugs)
            if name.startswith(f"{slug}/")
        ]

    def _list_callable(self, slug: str, also: Collection[str]) -> Sequence[Endpoint]:
        return self._filter_callable(self.all_models[slug], self.providers.keys() | set(also))

    def _describe_unknown(self, name: str, operation: Operation | None) -> str:
        """Return a message about a model that is not available, with alternatives."""
        if len(name) > MAX_NAME_LENGTH:
            return (
                f"The name of the model has {len(name):,} characters; none has more than "
                f"{MAX_NAME_LENGTH}. GET /api/v1/models lists the models."
            )
        if reason := find_missing_variant(name):
            return f"Model {name!r} is not available here, and {reason}."
        slug = self.resolve(name)
        if slug is not None:
            remedy = describe_remedy(self.all_models[slug], self.providers, self._wires)
            makers = self._list_makers(operation)
            return f"Model {name!r} is known but not available here: {remedy}{makers}"
        hint = build_hint(name, self._list_suggestions(operation))
        makers = self._list_makers(operation)
        return (
            f"Model {name!r} is not available here.{makers or hint} "
            "GET /api/v1/models lists what is."
        )

    def _list_suggestions(self, operation: Operation | None) -> Collection[str]:
        return self.models if operation is None else self._list_choosable(operation, ())

    def _describe_unserved(
        self, name: str, found: Mapping[str, Sequence[Endpoint]], operation: Operation
    ) -> str:
        """Return a message about a model that does not serve the operation, with alternatives."""
        operations = sorted(
            each.value
            for each in Operation
            if any(gives(e.output_modalities, each) for e in self._list_serving(found, each))
        )
        alternative = f"; {name!r} serves {', '.join(operations)}" if operations else ""
        hint = build_hint(name, self._list_suggestions(operation))
        makers = self._list_makers(operation)
        return f"No provider of {name!r} serves {operation.value}{alternative}.{makers or hint}"

    def _list_makers(self, operation: Operation | None) -> str:
        """Return a sentence that names models that make pictures, for an operation that does."""
        if operation not in PICTURES:
            return ""
        names = self.list_accepting((), operation)
        return f" Models that make images here: {', '.join(names) or 'none'}."

    def _list_serving(
        self, found: Mapping[str, Sequence[Endpoint]], operation: Operation
    ) -> list[Endpoint]:
        return [each for some in found.values() for each in self._filter_serving(some, operation)]


def _serves_any_model(slug: str) -> bool:
    return slug in vendors() and vendors()[slug].any_model
