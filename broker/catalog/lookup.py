"""The catalog as it is asked: endpoints by slug, whatever a caller calls a model."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from broker import native_lane
from broker.catalog.latest import newest
from broker.catalog.models import Model
from broker.catalog.names import Namer
from broker.errors import NoEndpointError, UnknownModelError
from broker.operations import Operation, serves
from broker.pricing import Price
from broker.providers import Provider
from broker.routing import ROUTERS, Endpoint, variants
from broker.vendors import vendors

FREE = Price()
LONGEST_SHOWN = 100  # characters of a name that nobody knows
MANY = 10  # names in a message
LATEST = "~"
MOST_KEPT = 100  # different sets of providers that callers bring keys of, looked up once each
NOBODY: frozenset[str] = frozenset()


class Catalog:
    """Every known model, and of each the endpoints that the configured providers serve."""

    def __init__(
        self, models: Iterable[Model], providers: Mapping[str, Provider], namer: Namer | None = None
    ) -> None:
        self.everything = {model.slug: model for model in models}
        self.providers = providers
        self._reachable: dict[frozenset[str], Mapping[str, Model]] = {}
        self.models = self.reachable()
        self._namer = namer or Namer(())
        self._wires = {vendor.slug: vendor.wire for vendor in vendors().values()} | {
            slug: provider.wire for slug, provider in providers.items()
        }
        self._by_operation: dict[tuple[Operation, frozenset[str]], dict[str, Sequence[Endpoint]]]
        self._by_operation = {}
        self._open = {p.slug for p in providers.values() if p.vendor and p.vendor.any_model}

    def reachable(self, also: Collection[str] = ()) -> Mapping[str, Model]:
        """Return the models that the configured providers serve, and those of `also`."""
        more = frozenset(also).difference(self.providers)
        if more not in self._reachable:
            if len(self._reachable) >= MOST_KEPT:
                self._reachable = {NOBODY: self.models}
            slugs = self.providers.keys() | more
            self._reachable[more] = {
                slug: served
                for slug, model in self.everything.items()
                if (served := _served(model, slugs)).endpoints
            }
        return self._reachable[more]

    def endpoints(
        self,
        slugs: Sequence[str],
        operation: Operation = Operation.CHAT,
        also: Collection[str] = (),
    ) -> dict[str, Sequence[Endpoint]]:
        """Return the endpoints of each slug whose providers serve the operation.

        Those of `also` are there too: providers that the caller has a key of its own for.
        Raises UnknownModelError for a model that is not in the catalog, with the names nearest to
        it: a misspelt fallback would be missed only when it is needed. Where a router is named, all
        that it may choose from is there too.
        """
        named = [slug for slug in slugs if slug not in ROUTERS]
        found = {slug: self._routed(slug, also) for slug in named}
        unknown = next((slug for slug, endpoints in found.items() if not endpoints), None)
        if unknown is not None:
            param = "model" if unknown == slugs[0] else "models"
            raise UnknownModelError(self._unknown(unknown), param=param)
        serving: dict[str, Sequence[Endpoint]] = {
            slug: self._serving(each, operation) for slug, each in found.items()
        }
        if len(named) < len(slugs):  # a router may choose from all there is
            serving = self._choosable(operation, also) | serving
        if not any(serving.values()):
            raise NoEndpointError(
                f"No provider of {slugs[0]!r} serves {operation.value}.", param="model"
            )
        return serving

    def _choosable(
        self, operation: Operation, also: Collection[str]
    ) -> dict[str, Sequence[Endpoint]]:
        which = operation, frozenset(also).difference(self.providers)
        if which not in self._by_operation:
            if len(self._by_operation) >= MOST_KEPT:
                self._by_operation.clear()
            serving = {
                slug: self._serving(model.endpoints, operation)
                for slug, model in self.reachable(also).items()
            }
            self._by_operation[which] = {slug: served for slug, served in serving.items() if served}
        return self._by_operation[which]

    def resolve(self, name: str) -> str | None:
        """Return the slug of the model that goes by this name, or None where nobody knows it.

        A slug; `~author/family-latest`; an old, dated or bare name, or a host's own spelling.
        """
        if name in self.everything:
            return name
        if name.startswith(LATEST):
            return newest(name.removeprefix(LATEST), self.models) or newest(
                name.removeprefix(LATEST), self.everything
            )
        found = self._namer.find(name)
        return found if found in self.everything else None

    def find(self, name: str) -> Model:
        """Return a model by any of its names, with all its endpoints. Raises UnknownModelError."""
        slug = self.resolve(name)
        if slug is None:
            raise UnknownModelError(self._unknown(name), param="model")
        return self.everything[slug]

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

    def _serving(self, endpoints: Sequence[Endpoint], operation: Operation) -> list[Endpoint]:
        return [
            replace(each, batched=True) if self._batches(each, operation) else each
            for each in endpoints
            if serves(self._wires[each.provider], operation)
        ]

    def _batches(self, endpoint: Endpoint, operation: Operation) -> bool:
        provider = self.providers.get(endpoint.provider)
        return provider is not None and native_lane.takes(provider.batches, operation)

    def _routed(self, name: str, also: Collection[str]) -> Sequence[Endpoint]:
        """Return the endpoints of a name, with or without a suffix that says how to route it."""
        return self._endpoints_of(name, also) or self._endpoints_of(variants.split(name)[0], also)

    def _endpoints_of(self, name: str, also: Collection[str]) -> Sequence[Endpoint]:
        models = self.everything if also else self.models
        model = models.get(name) or models.get(self.resolve(name) or "")
        if model is not None:
            callable_ = self.providers.keys() | set(also) if also else None
            return [e for e in model.endpoints if callable_ is None or e.provider in callable_]
        open_ = self._open | {slug for slug in also if _takes_any(slug)}
        return [
            Endpoint(provider=slug, model=name, native=name.removeprefix(f"{slug}/"), price=FREE)
            for slug in sorted(open_)
            if name.startswith(f"{slug}/")
        ]

    def _unknown(self, name: str) -> str:
        name = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
        if instead := variants.missing(name):
            return f"Model {name!r} is not available here, and {instead}."
        slug = self.resolve(name)
        if slug is not None:
            return f"Model {name!r} is known but not available here: {self._remedy(slug)}"
        near = difflib.get_close_matches(name, self.models, n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        return f"Model {name!r} is not available here.{hint} GET /api/v1/models lists what is."

    def _remedy(self, slug: str) -> str:
        """Say whose key would make a model available."""
        keys = [
            vendors()[each.provider].key[0].replace(":", " and ")
            for each in self.everything[slug].endpoints
            if each.provider in vendors() and vendors()[each.provider].key
        ]
        return f"its operator would set {' or '.join(dict.fromkeys(keys[:3]))}."


def _takes_any(slug: str) -> bool:
    return slug in vendors() and vendors()[slug].any_model


def _served(model: Model, providers: Collection[str]) -> Model:
    served = tuple(each for each in model.endpoints if each.provider in providers)
    return model if len(served) == len(model.endpoints) else replace(model, endpoints=served)
