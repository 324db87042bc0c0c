"""Load the providers of this installation from environment variables and `waybill.toml`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from broker.providers.endpoints import DataPolicy
from broker.providers.pacing.limits import ProviderLimits
from broker.providers.vendors import PLACEHOLDER, Variables, Vendor, placeholders, vendors
from broker.security.redaction import learn
from broker.security.secret_values import InvalidSecretError, clean_secret, read_secret_file
from broker.settings import ProviderRow, Settings

_SCHEME = re.compile(r"^https?://")


class VariableCheck(NamedTuple):
    """The check of a vendor's variables; `missing` is an instruction to set those it lacks."""

    is_complete: bool
    missing: str | None = None


def check_variables(vendor: Vendor, environ: Mapping[str, str]) -> VariableCheck:
    """Return whether the variables of `vendor` suffice to call it, and if not, which to set."""
    missing = list(_find_missing(vendor, environ))
    return (
        VariableCheck(is_complete=False, missing=f"set {' and '.join(missing)}")
        if missing
        else VariableCheck(True)
    )


def _find_missing(vendor: Vendor, environ: Mapping[str, str]) -> Iterator[str]:
    if vendor.local:
        if _find_first(vendor.address, environ) is None:
            yield f"{vendor.address[0]} to its address"
        return
    if find_key(vendor, environ) is None:
        yield _describe_choice(vendor.key)
    if _find_first(vendor.address, environ) is None:
        known = find_options(vendor, environ)
        yield from (
            _describe_choice(names) for option, names in vendor.needs.items() if option not in known
        )


def _describe_choice(names: Variables) -> str:
    """Name the variables that would do, the usual one first."""
    best, *others = (name.replace(":", " + ") for name in names)
    # the last is the shortest of several ways to write one key
    return f"{best} (or {others[-1]})" if others else best


def find_key(vendor: Vendor, environ: Mapping[str, str]) -> str | None:
    """Return the vendor's API key, made of the first variables that are all set.

    Raises SystemExit for a value that cannot be sent.
    """
    for names in vendor.key:
        parts = [_read_secret(name, environ) for name in names.split(":")]
        if all(parts):
            return ":".join(parts)
    return None


def _read_secret(name: str, environ: Mapping[str, str]) -> str:
    try:
        return clean_secret(environ.get(name, ""), name)
    except InvalidSecretError as error:
        raise SystemExit(f"waybill: {error}") from None


def find_options(vendor: Vendor, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that variables give."""
    found = {
        option: _find_first(names, environ)
        for option, names in {**vendor.takes, **vendor.needs}.items()
    }
    return {option: value for option, value in found.items() if value}


def find_url(vendor: Vendor, environ: Mapping[str, str]) -> str:
    """Return the base URL, with its placeholders where no variable replaces it."""
    given = _find_first(vendor.address, environ)
    return vendor.base_url if given is None else _complete_address(given, vendor)


def fill_placeholders(template: str, options: Mapping[str, Any]) -> str:
    """Replace the placeholders of a URL by options; one whose option is unknown stays."""

    def value(found: re.Match[str]) -> str:
        given = options.get(found[1])
        # hosts are often given as URLs (DATABRICKS_HOST)
        return found[0] if given is None else _SCHEME.sub("", str(given)).strip("/")

    return PLACEHOLDER.sub(value, template)


def _find_first(names: Variables, environ: Mapping[str, str]) -> str | None:
    """Return the value of the first variable that is set to something."""
    values = (environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), None)


def _complete_address(given: str, vendor: Vendor) -> str:
    """Complete an address; a local server's may lack scheme, port and path (OLLAMA_HOST)."""
    if not vendor.local:
        return given.rstrip("/")
    url = (given if "://" in given else f"http://{given}").rstrip("/")
    parts = urlsplit(url)
    if "://" not in given and parts.port is None and not parts.path:
        url = f"{url}:{urlsplit(vendor.base_url).port}"
    return url if url.endswith("/v1") else f"{url}/v1"


ENV_PREFIX = "env:"
FILE_PREFIX = "file:"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that can be called."""

    slug: str
    name: str
    wire: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()
    limits: ProviderLimits = field(default_factory=ProviderLimits)
    data_policy: DataPolicy | None = None  # as waybill.toml states it
    batches: str | None = None  # its batch API, see `routing.native_batches`
    vendor: Vendor | None = None


def load_providers(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> dict[str, Provider]:
    """Return the providers that can be called: those of waybill.toml and those with a key set.

    Raises SystemExit where a table of waybill.toml lacks what it needs.
    """
    learn(environ.get(name) for each in vendors().values() for name in each.key_variables)
    providers = {
        vendor.slug: _build_from_environment(vendor, environ)
        for vendor in vendors().values()
        if check_variables(vendor, environ).is_complete
    }
    for row in settings.providers:
        providers[row.slug] = _build_from_row(row, vendors().get(row.slug), environ)
    return providers


def describe_missing_key(provider: Provider, row: ProviderRow | None) -> str | None:
    """Return what to set, if a provider lacks the key that it needs; `row` is of waybill.toml."""
    named = (row.api_key or "") if row else ""
    if named.startswith(ENV_PREFIX) and not provider.api_key:
        return f"no key: set {named.removeprefix(ENV_PREFIX)}"
    is_keyless = provider.vendor is None or provider.vendor.local
    return None if provider.api_key or is_keyless else "no key"


def load_byok_providers(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> dict[str, Provider]:
    """Return every provider that can be called with a key that a caller brings.

    These are the providers of `load_providers`, and the known vendors that lack only a key.
    """
    unconfigured = {
        vendor.slug: replace(_build_from_environment(vendor, environ), api_key=None)
        for vendor in vendors().values()
        if not vendor.local
        and not placeholders(
            fill_placeholders(find_url(vendor, environ), find_options(vendor, environ))
        )
    }
    return unconfigured | load_providers(settings, environ)


def _build_from_environment(vendor: Vendor, environ: Mapping[str, str]) -> Provider:
    options = find_options(vendor, environ)
    return Provider(
        slug=vendor.slug,
        name=vendor.name,
        wire=vendor.wire,
        base_url=fill_placeholders(find_url(vendor, environ), options),
        api_key=find_key(vendor, environ),
        options=options,
        quirks=frozenset(vendor.quirks),
        batches=vendor.batches,
        vendor=vendor,
    )


def _build_from_row(
    row: ProviderRow, vendor: Vendor | None, environ: Mapping[str, str]
) -> Provider:
    options = {**(find_options(vendor, environ) if vendor else {}), **row.options}
    return Provider(
        slug=row.slug,
        name=vendor.name if vendor else row.slug,
        wire=row.wire or (vendor.wire if vendor else "openai"),
        base_url=_find_row_url(row, vendor, options, environ),
        api_key=_find_row_key(row, vendor, environ),
        headers=row.headers,
        options=options,
        quirks=frozenset(row.quirks) | frozenset(vendor.quirks if vendor else ()),
        limits=ProviderLimits(row.max_concurrency, row.requests_per_minute, row.tokens_per_minute),
        data_policy=DataPolicy(**row.data_policy.model_dump()) if row.data_policy else None,
        batches=row.batches or (vendor.batches if vendor else None),
        vendor=vendor,
    )


def _find_row_url(
    row: ProviderRow,
    vendor: Vendor | None,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
) -> str:
    if row.base_url is not None:
        return fill_placeholders(row.base_url.rstrip("/"), options)
    if vendor is None:
        raise SystemExit(
            f"waybill: provider {row.slug!r} in waybill.toml is no known vendor: give it a base_url"
        )
    url = fill_placeholders(find_url(vendor, environ), options)
    if unknown := placeholders(url):
        variables = ", ".join(vendor.needs[option][0] for option in unknown)
        raise SystemExit(
            f"waybill: provider {row.slug!r} in waybill.toml is at {url}: write "
            f"options.{unknown[0]} there, or set {variables}"
        )
    return url


def _find_row_key(
    row: ProviderRow, vendor: Vendor | None, environ: Mapping[str, str]
) -> str | None:
    if row.api_key is None:
        return find_key(vendor, environ) if vendor else None
    source = f"api_key of provider {row.slug!r} in waybill.toml"
    try:
        if row.api_key.startswith(ENV_PREFIX):
            name = row.api_key.removeprefix(ENV_PREFIX)
            return clean_secret(environ.get(name, ""), f"{name} ({source})") or None
        if row.api_key.startswith(FILE_PREFIX):
            return read_secret_file(row.api_key.removeprefix(FILE_PREFIX), source) or None
    except InvalidSecretError as error:
        raise SystemExit(f"waybill: {error}") from None
    return row.api_key
