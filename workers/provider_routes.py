"""Routes: the adapter, the connection data and the limits of each provider."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.providers.configuration import Provider
from broker.providers.pacing import ProviderLimits
from broker.requests.operations import Interface, Operation
from workers.adapters.base import Adapter, Upstream
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.registry import ADAPTERS, RESPONSES, WITHOUT_CHATS, find_adapter
from workers.operations.base import OperationAdapter
from workers.operations.registry import operation_adapter


@dataclass(frozen=True, slots=True)
class ProviderRoute:
    """The adapter, the connection data and the limits of one provider."""

    chat: Adapter
    upstream: Upstream
    limits: ProviderLimits
    batches: str | None = None  # the name of its batch API, see `native_batches`
    is_shared: bool = True  # the installation has a key for it, or needs none

    def adapter(
        self, operation: Operation, interface: Interface = Interface.PATHS
    ) -> Adapter | OperationAdapter | None:
        """Return the adapter of an operation, or None if the provider does not serve it."""
        if operation is Operation.CHAT:
            return self.chat_adapter(interface)
        return operation_adapter(operation, self.upstream.wire, self.upstream.quirks)

    def chat_adapter(self, interface: Interface) -> Adapter:
        """Return the adapter for chats with a model behind this interface."""
        if interface is Interface.RESPONSES:
            return RESPONSES.get(self.upstream.wire, self.chat)
        return self.chat


def build_routes(providers: Mapping[str, Provider]) -> dict[str, ProviderRoute]:
    """Return the route of each provider. Raises SystemExit for an unknown wire or quirk."""
    return {slug: _build_route(provider) for slug, provider in providers.items()}


def _build_route(provider: Provider) -> ProviderRoute:
    adapter = find_adapter(provider.wire)
    if adapter is None:
        raise SystemExit(
            f"waybill: provider {provider.slug!r} has wire {provider.wire!r}; "
            f"known wires are {', '.join(sorted({**ADAPTERS, **WITHOUT_CHATS}))}"
        )
    known = adapter.quirks | {OpenAiQuirk.INLINE_MEDIA} | _other_wire_quirks(provider)
    if unknown := provider.quirks - known:
        raise SystemExit(
            f"waybill: provider {provider.slug!r} has quirk {min(unknown)!r}; its wire knows "
            f"{', '.join(sorted(adapter.quirks)) or 'none'}"
        )
    return ProviderRoute(adapter, build_upstream(provider), provider.limits, provider.batches)


def _other_wire_quirks(provider: Provider) -> frozenset[str]:
    """Return the quirks of a vendor's usual wire, where waybill.toml gives it another wire."""
    vendor = provider.vendor
    return frozenset(() if vendor is None or vendor.wire == provider.wire else vendor.quirks)


def build_upstream(provider: Provider) -> Upstream:
    """Return the part of a provider that its adapter needs.

    A provider that keeps no data cannot answer in the background.
    """
    policy = provider.data_policy
    keeps_none = policy is not None and policy.zdr
    return Upstream(
        slug=provider.slug,
        wire=provider.wire,
        base_url=provider.base_url,
        api_key=provider.api_key,
        headers=provider.headers,
        options=provider.options,
        quirks=provider.quirks - {OpenAiQuirk.BACKGROUND} if keeps_none else provider.quirks,
    )
