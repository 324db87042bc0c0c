"""Labels of metrics come from the configuration and the catalog, never from what callers send.

A server of one's own serves models that no catalog lists: any name that a caller makes up. All of
these are told as one.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from broker.catalog import Catalog
from broker.evidence import WHOLE_PROVIDER, EndpointKey, Snapshot
from broker.health.buckets import OTHER, Counts
from broker.vendors import vendors


def known_endpoints(catalog: Catalog) -> frozenset[EndpointKey]:
    """Return every endpoint that may be named, and the whole of every provider."""
    models = catalog.everything.values()
    named = {endpoint.key for model in models for endpoint in model.endpoints}
    providers = {*catalog.providers, *vendors()}
    return frozenset(named.union((slug, what) for slug in providers for what in _WHOLE))


def folded(
    totals: Mapping[EndpointKey, Counts], known: Collection[EndpointKey]
) -> dict[EndpointKey, Counts]:
    """Return counts by known endpoint; those of a provider's other models are one sum."""
    found: dict[EndpointKey, Counter[str]] = {}
    for endpoint, counts in totals.items():
        provider = endpoint[0] if (endpoint[0], OTHER) in known else OTHER
        label = endpoint if endpoint in known else (provider, OTHER)
        found.setdefault(label, Counter()).update(counts)
    return {label: dict(counts) for label, counts in found.items()}


def narrowed(snapshot: Snapshot, known: Collection[EndpointKey]) -> Snapshot:
    """Return what is known of endpoints that may be named."""
    endpoints = {key: each for key, each in snapshot.endpoints.items() if key in known}
    return replace(snapshot, endpoints=endpoints)


_WHOLE = (WHOLE_PROVIDER, OTHER)
