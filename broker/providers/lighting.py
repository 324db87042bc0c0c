"""What the environment says of a vendor: its key, its address, and what is missing to call it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from broker.providers.vendors import PLACEHOLDER, Variables, Vendor
from broker.security.secret_values import InvalidSecretError, clean_secret

_SCHEME = re.compile(r"^https?://")


class Lighting(NamedTuple):
    """Whether a vendor can be called with what the environment says, and else what is missing."""

    lit: bool
    why_not: str | None = None


def lighting(vendor: Vendor, environ: Mapping[str, str]) -> Lighting:
    """Tell whether `vendor` can be called, and if not, which variables to set."""
    missing = list(_missing(vendor, environ))
    return (
        Lighting(lit=False, why_not=f"set {' and '.join(missing)}") if missing else Lighting(True)
    )


def _missing(vendor: Vendor, environ: Mapping[str, str]) -> Iterator[str]:
    if vendor.local:
        if first(vendor.address, environ) is None:
            yield f"{vendor.address[0]} to its address"
        return
    if key_of(vendor, environ) is None:
        yield _choice(vendor.key)
    if first(vendor.address, environ) is None:
        known = options_of(vendor, environ)
        yield from (_choice(names) for option, names in vendor.needs.items() if option not in known)


def _choice(names: Variables) -> str:
    """Say which variables would do, the usual one first."""
    best, *others = (name.replace(":", " + ") for name in names)
    # the last is the shortest of several ways to write one key
    return f"{best} (or {others[-1]})" if others else best


def key_of(vendor: Vendor, environ: Mapping[str, str]) -> str | None:
    """Return the vendor's API key, made of the first variables that are all set.

    Raises SystemExit for a value that cannot be sent.
    """
    for names in vendor.key:
        parts = [_secret_of(name, environ) for name in names.split(":")]
        if all(parts):
            return ":".join(parts)
    return None


def _secret_of(name: str, environ: Mapping[str, str]) -> str:
    try:
        return clean_secret(environ.get(name, ""), name)
    except InvalidSecretError as error:
        raise SystemExit(f"waybill: {error}") from None


def options_of(vendor: Vendor, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that variables give."""
    found = {
        option: first(names, environ) for option, names in {**vendor.takes, **vendor.needs}.items()
    }
    return {option: value for option, value in found.items() if value}


def url_of(vendor: Vendor, environ: Mapping[str, str]) -> str:
    """Return the base URL, with its placeholders where no variable replaces it."""
    given = first(vendor.address, environ)
    return vendor.base_url if given is None else _completed(given, vendor)


def filled(template: str, options: Mapping[str, Any]) -> str:
    """Put options into a URL; a placeholder whose option is not known stays."""

    def value(found: re.Match[str]) -> str:
        given = options.get(found[1])
        # hosts are often given as URLs (DATABRICKS_HOST)
        return found[0] if given is None else _SCHEME.sub("", str(given)).strip("/")

    return PLACEHOLDER.sub(value, template)


def first(names: Variables, environ: Mapping[str, str]) -> str | None:
    """Return the first variable that is set to something."""
    values = (environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), None)


def _completed(given: str, vendor: Vendor) -> str:
    """Complete an address; a local server's may lack scheme, port and path (OLLAMA_HOST)."""
    if not vendor.local:
        return given.rstrip("/")
    url = (given if "://" in given else f"http://{given}").rstrip("/")
    parts = urlsplit(url)
    if "://" not in given and parts.port is None and not parts.path:
        url = f"{url}:{urlsplit(vendor.base_url).port}"
    return url if url.endswith("/v1") else f"{url}/v1"
