"""Providers as configuration: known vendors are data, `waybill.toml` adds and overrides."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from broker.settings import ProviderRow, Settings

ENV_PREFIX = "env:"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A known vendor: what to assume about it when only its key is given."""

    slug: str
    name: str
    wire: str
    base_url: str
    key: tuple[str, ...] = ()  # environment variables that may hold its API key
    address: tuple[str, ...] = ()  # environment variables that may hold its base URL
    prices: str | None = None  # its id in genai-prices
    author: str | None = None  # prefix of its model slugs
    any_model: bool = False  # serves models that no catalog lists
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that can be called."""

    slug: str
    name: str
    wire: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    max_concurrency: int = 200
    vendor: Vendor | None = None


@cache
def vendors() -> Mapping[str, Vendor]:
    """Return the known vendors by slug."""
    rows = tomllib.loads((files("broker.catalog") / "vendors.toml").read_text())
    return {
        slug: Vendor(slug=slug, **{k: _frozen(v) for k, v in row.items()})
        for slug, row in rows.items()
    }


def configured(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, Provider]:
    """Return the providers that can be called: those of waybill.toml and those with a key set.

    Raises SystemExit where a table of waybill.toml lacks what an unknown vendor needs.
    """
    providers = {
        vendor.slug: _lit(vendor, environ)
        for vendor in vendors().values()
        if _is_lit(vendor, environ)
    }
    for row in settings.providers:
        providers[row.slug] = _from_row(row, vendors().get(row.slug), environ)
    return providers


def _is_lit(vendor: Vendor, environ: Mapping[str, str]) -> bool:
    return bool(_first(vendor.key, environ) or _first(vendor.address, environ))


def _lit(vendor: Vendor, environ: Mapping[str, str]) -> Provider:
    return Provider(
        slug=vendor.slug,
        name=vendor.name,
        wire=vendor.wire,
        base_url=_address(_first(vendor.address, environ)) or vendor.base_url,
        api_key=_first(vendor.key, environ),
        quirks=frozenset(vendor.quirks),
        vendor=vendor,
    )


def _from_row(row: ProviderRow, vendor: Vendor | None, environ: Mapping[str, str]) -> Provider:
    base_url = row.base_url or (vendor.base_url if vendor else None)
    if base_url is None:
        raise SystemExit(
            f"waybill: provider {row.slug!r} in waybill.toml is no known vendor: give it a base_url"
        )
    return Provider(
        slug=row.slug,
        name=vendor.name if vendor else row.slug,
        wire=row.wire or (vendor.wire if vendor else "openai"),
        base_url=base_url.rstrip("/"),
        api_key=_key(row, vendor, environ),
        headers=row.headers,
        options=row.options,
        quirks=frozenset(row.quirks) | frozenset(vendor.quirks if vendor else ()),
        max_concurrency=row.max_concurrency,
        vendor=vendor,
    )


def _key(row: ProviderRow, vendor: Vendor | None, environ: Mapping[str, str]) -> str | None:
    if row.api_key is None:
        return _first(vendor.key, environ) if vendor else None
    if row.api_key.startswith(ENV_PREFIX):
        return environ.get(row.api_key.removeprefix(ENV_PREFIX))
    return row.api_key


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _address(given: str | None) -> str | None:
    """Complete an address as Ollama's variables give it: perhaps without a scheme."""
    if not given:
        return None
    url = given if "://" in given else f"http://{given}"
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
