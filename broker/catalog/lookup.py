"""The catalog: endpoints by slug, by whatever name a caller uses, with hints for unknown models."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from broker.catalog.models import Model
from broker.catalog.names import Namer, newest_first
from broker.errors import NoEndpointError, UnknownModelError
from broker.pricing import Price
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import vendors
from broker.requests.operations import Interface, Operation, gives, may_give, serves, speaks
from broker.routing import NO_REQUIREMENTS, ROUTERS, Requirements, native_batches, suits
from broker.routing.preferences import missing_variant, split_variant

MOST_COMPARED = 100  # characters of a name that are compared with the others
NEAREST = 3
ALIKE = 0.5  # how much of a name must be right

APIS: Mapping[Interface, str] = {
    Interface.RESPONSES: "the Responses API",
    Interface.REALTIME: "a realtime API",
}


def hint_for(name: str, names: Collection[str]) -> str:
    """Return the sentence that asks whether one of these names was meant, or nothing."""
    near = difflib.get_close_matches(name[:MOST_COMPARED], names, n=NEAREST, cutoff=ALIKE)
    near = [each for each in near if each != name]
    return f" Did you mean {', '.join(near)}?" if near else ""


def remedy_for(model: Model, providers: Collection[str], wires: Mapping[str, str]) -> str:
    """Say what stands in the way of a known model: its API, or a key that nobody has set."""
    for each in model.endpoints:
        if each.provider in providers and not speaks(wires[each.provider], each.interface):
            return (
                f"{each.provider} serves it by {APIS[each.interface]} only, which Waybill does not "
                "call."
            )
    keys = [
        vendors()[each.provider].key[0].replace(":", " and ")
        for each in model.endpoints
        if each.provider in vendors()
        and vendors()[each.provider].key
        and speaks(wires[each.provider], each.interface)
    ]
    if not keys:
        return "no provider serves it by an API that Waybill calls."
    return f"its operator would set {' or '.join(dict.fromkeys(keys[:3]))}."


FREE = Price()
LONGEST_NAME = 256  # characters; a longer name is not looked up at all
MANY = 10  # names in a message
LATEST = "~"
MOST_KEPT = 100  # different sets of providers that callers bring keys of, looked up once each
NOBODY: frozenset[str] = frozenset()
TEXT = frozenset({"text"})


class Catalog:
    """Every known model, and of each the endpoints that the configured providers serve.

    `models` are those that are offered: what a listing shows, a router chooses and a hint suggests.
    An endpoint that is retired is not offered, but still serves who names its model, as long as
    nothing else does. One behind an API that its wire does not speak serves nobody.
    """

    def __init__(
        self, models: Iterable[Model], providers: Mapping[str, Provider], namer: Namer | None = None
    ) -> None:
        self.everything = {model.slug: model for model in models}
        self.providers = providers
        self._wires = {vendor.slug: vendor.wire for vendor in vendors().values()} | {
            slug: provider.wire for slug, provider in providers.items()
        }
        self._reachable: dict[frozenset[str], Mapping[str, Model]] = {}
        self.models = self.reachable()
        self._namer = namer or Namer(())
        self._by_operation: dict[tuple[Operation, frozenset[str]], dict[str, Sequence[Endpoint]]]
        self._by_operation = {}
        self._open = {p.slug for p in providers.values() if p.vendor and p.vendor.any_model}

    def reachable(self, also: Collection[str] = ()) -> Mapping[str, Model]:
        """Return the models that the configured providers offer, and those of `also`."""
        more = frozenset(also).difference(self.providers)
        if more not in self._reachable:
            if len(self._reachable) >= MOST_KEPT:
                self._reachable = {NOBODY: self.models}
            slugs = self.providers.keys() | more
            self._reachable[more] = {
                slug: offered
                for slug, model in self.everything.items()
                if (offered := self._offered(model, slugs)).endpoints
            }
        return self._reachable[more]

    def endpoints(
        self,
        slugs: Sequence[str],
        operation: Operation = Operation.CHAT,
        also: Collection[str] = (),
        requirements: Requirements = NO_REQUIREMENTS,
    ) -> dict[str, Sequence[Endpoint]]:
        """Return the endpoints of each slug that serve the operation.

        Those of `also` are there too: providers that the caller has a key of its own for.
        Raises UnknownModelError for a model that is not in the catalog, with the names nearest to
        it: a misspelt fallback would be missed only when it is needed. Where a router is named, all
        that it may choose from is there too. `needs` decide which model `~author/family-latest` is.
        """
        named = [slug for slug in slugs if slug not in ROUTERS]
        found = {slug: self._routed(slug, operation, also, requirements) for slug in named}
        unknown = next((slug for slug, endpoints in found.items() if not endpoints), None)
        if unknown is not None:
            param = "model" if unknown == slugs[0] else "models"
            raise UnknownModelError(self._unknown(unknown, operation), param=param)
        serving: dict[str, Sequence[Endpoint]] = {
            slug: self._serving(each, operation) for slug, each in found.items()
        }
        if len(named) < len(slugs):  # a router may choose from all there is
            serving = self._choosable(operation, also) | serving
        if not any(serving.values()):
            raise NoEndpointError(self._unserved(slugs[0], found, operation), param="model")
        return serving

    def _choosable(
        self, operation: Operation, also: Collection[str]
    ) -> dict[str, Sequence[Endpoint]]:
        """Return what a router may choose from: what is known to serve the operation.

        A model of which no input is known takes text: nobody else would send it anything else.
        """
        which = operation, frozenset(also).difference(self.providers)
        if which not in self._by_operation:
            if len(self._by_operation) >= MOST_KEPT:
                self._by_operation.clear()
            serving = {
                slug: [
                    each
                    if each.input_modalities is not None
                    else replace(each, input_modalities=TEXT)
                    for each in self._serving(model.endpoints, operation)
                    if gives(each.output_modalities, operation)
                ]
                for slug, model in self.reachable(also).items()
            }
            self._by_operation[which] = {slug: served for slug, served in serving.items() if served}
        return self._by_operation[which]

    def resolve(self, name: str) -> str | None:
        """Return the slug of the model that goes by this name, or None where nobody knows it.

        A slug; `~author/family-latest`; an old, dated or bare name, or a host's own spelling.
        """
        if len(name) > LONGEST_NAME:
            return None
        if name in self.everything:
            return name
        if name.startswith(LATEST):
            return self._latest(name, self.models, Operation.CHAT, NO_REQUIREMENTS)
        found = self._namer.find(name)
        return found if found in self.everything else None

    def find(self, name: str) -> Model:
        """Return a model by any of its names, with all its endpoints. Raises UnknownModelError.

        A suffix that says how to route (`:nitro`) is not part of a name.
        """
        slug = self.resolve(name) or self.resolve(split_variant(name)[0])
        if slug is None:
            raise UnknownModelError(self._unknown(name, None), param="model")
        return self.everything[slug]

    def taking(self, requirements: Collection[str], operation: Operation) -> list[str]:
        """Return models that are known to take these input modalities; a few, first names first."""
        wanted = frozenset(requirements)
        return sorted(
            slug
            for slug, endpoints in self._choosable(operation, ()).items()
            if any(each.takes(wanted) for each in endpoints)
        )[:MANY]

    def _offered(self, model: Model, providers: Collection[str]) -> Model:
        """Return a model with those of its endpoints that can be offered."""
        offered = tuple(e for e in self._callable(model, providers) if not e.retired)
        return model if len(offered) == len(model.endpoints) else replace(model, endpoints=offered)

    def _callable(self, model: Model, providers: Collection[str]) -> Sequence[Endpoint]:
        return [
            each
            for each in model.endpoints
            if each.provider in providers and speaks(self._wires[each.provider], each.interface)
        ]

    def _serving(self, endpoints: Sequence[Endpoint], operation: Operation) -> list[Endpoint]:
        return [
            replace(each, batched=True) if self._batches(each, operation) else each
            for each in endpoints
            if serves(self._wires[each.provider], operation, each.interface)
            and may_give(each.output_modalities, operation)
        ]

    def _batches(self, endpoint: Endpoint, operation: Operation) -> bool:
        provider = self.providers.get(endpoint.provider)
        return provider is not None and native_batches.takes(provider.batches, operation)

    def _routed(
        self, name: str, operation: Operation, also: Collection[str], requirements: Requirements
    ) -> Sequence[Endpoint]:
        """Return the endpoints of a name, with or without a suffix that says how to route it."""
        if len(name) > LONGEST_NAME:
            return ()
        plain = split_variant(name)[0]
        if plain.startswith(LATEST):
            slug = self._latest(plain, self.reachable(also), operation, requirements)
            return self._endpoints_of(slug, also) if slug else ()
        return self._endpoints_of(name, also) or self._endpoints_of(plain, also)

    def _latest(
        self,
        name: str,
        offered: Mapping[str, Model],
        operation: Operation,
        requirements: Requirements,
    ) -> str | None:
        """Return the newest of a family that serves the request; the newest if none does."""
        family = name.removeprefix(LATEST)
        members = newest_first(family, offered)
        for slug in members:
            served = self._serving(offered[slug].endpoints, operation)
            if any(suits(each, requirements) for each in served):
                return slug
        return next(iter(members or newest_first(family, self.everything)), None)

    def _endpoints_of(self, name: str, also: Collection[str]) -> Sequence[Endpoint]:
        slug = self.resolve(name)
        if slug is not None:
            found = self._callable(self.everything[slug], self.providers.keys() | set(also))
            return [each for each in found if not each.retired] or found
        open_ = self._open | {slug for slug in also if _takes_any(slug)}
        return [
            Endpoint(provider=slug, model=name, native=name.removeprefix(f"{slug}/"), price=FREE)
            for slug in sorted(open_)
            if name.startswith(f"{slug}/")
        ]

    def _unknown(self, name: str, operation: Operation | None) -> str:
        """Say that a model is not available, and what to ask for instead."""
        if len(name) > LONGEST_NAME:
            return (
                f"The name of the model has {len(name):,} characters; none has more than "
                f"{LONGEST_NAME}. GET /api/v1/models lists the models."
            )
        if instead := missing_variant(name):
            return f"Model {name!r} is not available here, and {instead}."
        slug = self.resolve(name)
        if slug is not None:
            remedy = remedy_for(self.everything[slug], self.providers, self._wires)
            return f"Model {name!r} is known but not available here: {remedy}"
        hint = hint_for(name, self._suggested(operation))
        return f"Model {name!r} is not available here.{hint} GET /api/v1/models lists what is."

    def _suggested(self, operation: Operation | None) -> Collection[str]:
        return self.models if operation is None else self._choosable(operation, ())

    def _unserved(
        self, name: str, found: Mapping[str, Sequence[Endpoint]], operation: Operation
    ) -> str:
        """Say that no endpoint serves the operation, what they serve, and which models do."""
        others = sorted(
            each.value
            for each in Operation
            if any(gives(e.output_modalities, each) for e in self._any_serving(found, each))
        )
        serves_others = f"; {name!r} serves {', '.join(others)}" if others else ""
        hint = hint_for(name, self._suggested(operation))
        return f"No provider of {name!r} serves {operation.value}{serves_others}.{hint}"

    def _any_serving(
        self, found: Mapping[str, Sequence[Endpoint]], operation: Operation
    ) -> list[Endpoint]:
        return [each for some in found.values() for each in self._serving(some, operation)]


def _takes_any(slug: str) -> bool:
    return slug in vendors() and vendors()[slug].any_model
