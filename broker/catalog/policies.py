"""What vendors say they do with prompts, and the pages where they say it (`policies.toml`)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from broker.providers.configuration import Provider
from broker.providers.endpoints import UNKNOWN_POLICY, DataPolicy
from broker.providers.vendors import Vendor

OWN_MACHINE = DataPolicy(trains=False, retention_days=0, zdr=True)
TERMS = ("trains", "retention_days", "zdr")


@dataclass(frozen=True, slots=True)
class Pages:
    """Where a vendor is at home."""

    privacy: str | None = None
    terms: str | None = None
    status: str | None = None
    headquarters: str | None = None  # ISO 3166 code
    datacenters: tuple[str, ...] | None = None


def policy_of(provider: Provider) -> DataPolicy:
    """Return a provider's data policy: what waybill.toml states, else what its vendor says."""
    if provider.data_policy is not None:
        return provider.data_policy
    return UNKNOWN_POLICY if provider.vendor is None else vendor_policy(provider.vendor)


def vendor_policy(vendor: Vendor) -> DataPolicy:
    if vendor.local:
        return OWN_MACHINE
    said = _table().get(vendor.slug, {})
    return DataPolicy(**{name: said[name] for name in TERMS if name in said})


def pages_of(slug: str) -> Pages:
    said = {name: value for name, value in _table().get(slug, {}).items() if name not in TERMS}
    if "datacenters" in said:
        said["datacenters"] = tuple(said["datacenters"])
    return Pages(**said)


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((files("broker.catalog") / "policies.toml").read_text())
