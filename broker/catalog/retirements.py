"""When vendors stop serving models (`retirements.toml`), and which of their APIs serves a model."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from broker.providers.vendors import vendors
from broker.requests.operations import Interface

FOLLOWERS = "at"


def retirement_of(provider: str, native: str) -> str | None:
    """Return the ISO date from which on a provider does not serve a model, if it is known."""
    name = native.lower()
    for whose, days in _by_provider().get(provider, ()):
        bare = name if whose is None else name.removeprefix(f"{whose}/")
        if whose is not None and bare == name:
            continue  # another author's model
        for day, patterns in days.items():
            if any(fnmatchcase(bare, pattern) for pattern in patterns):
                return day
    return None


def interface_of(provider: str, native: str) -> Interface | None:
    """Return the API by which a provider serves a model, where that is not the usual one."""
    vendor = vendors().get(provider)
    if vendor is None or not vendor.responses:
        return None
    is_listed = any(fnmatchcase(native.lower(), pattern) for pattern in vendor.responses)
    return Interface.RESPONSES if is_listed else None


@cache
def _by_provider() -> Mapping[str, Sequence[tuple[str | None, Mapping[str, Sequence[str]]]]]:
    """Return (author to be named, patterns by day) for each provider."""
    table = tomllib.loads((files("broker.catalog") / "retirements.toml").read_text())
    found: dict[str, list[tuple[str | None, Mapping[str, Sequence[str]]]]] = {}
    for vendor, rows in table.items():
        days = {day: patterns for day, patterns in rows.items() if day != FOLLOWERS}
        for provider, author in _providers(vendor, rows.get(FOLLOWERS, [vendor])):
            found.setdefault(provider, []).append((author, days))
    return found


def _providers(vendor: str, named: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the providers of a table; one that serves many authors names them in its ids."""
    for provider in named:
        slugs_are_ids = vendors()[provider].prices == "openrouter"
        yield provider, vendor if slugs_are_ids else None
