"""The state of each provider: whether it can be called, what it lacks, its limits and pauses."""

import os
from collections.abc import Iterable, Mapping

from broker.providers.configuration import (
    Provider,
    check_variables,
    describe_missing_key,
    find_key,
)
from broker.providers.pacing.limits import ProviderLimits
from broker.providers.pauses import ProviderPause
from broker.providers.vendors import vendors
from broker.security.redaction import redact
from broker.settings import Settings
from broker.values import immutable


@immutable
class ProviderState:
    """A provider as the installation is configured for it."""

    slug: str
    name: str
    wire: str
    base_url: str
    is_configured: bool
    has_key: bool
    problem: str | None  # what to set
    limits: ProviderLimits | None  # None: it cannot be called
    pause: ProviderPause | None


def list_states(
    settings: Settings,
    providers: Mapping[str, Provider],
    pauses: Iterable[ProviderPause],
    environ: Mapping[str, str] = os.environ,
) -> list[ProviderState]:
    """Return the providers that can be called, and then the vendors that cannot, each by slug."""
    paused = {row.provider: row for row in pauses}
    rows = {row.slug: row for row in settings.providers}
    configured = [
        ProviderState(
            slug=slug,
            name=provider.name,
            wire=provider.wire,
            base_url=redact(provider.base_url),
            is_configured=True,
            has_key=provider.api_key is not None,
            problem=describe_missing_key(provider, rows.get(slug)),
            limits=provider.limits,
            pause=paused.get(slug),
        )
        for slug, provider in sorted(providers.items())
    ]
    others = [
        ProviderState(
            slug=slug,
            name=vendor.name,
            wire=vendor.wire,
            base_url=vendor.base_url,
            is_configured=False,
            has_key=find_key(vendor, environ) is not None,
            problem=check_variables(vendor, environ).missing,
            limits=None,
            pause=None,
        )
        for slug, vendor in sorted(vendors().items())
        if slug not in providers
    ]
    return configured + others
