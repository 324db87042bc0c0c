"""Tables about models and vendors: abilities, data policies, retirements, search fees."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase, translate
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from broker.money import NANOS_PER_USD
from broker.providers.configuration import Provider
from broker.providers.endpoints import UNKNOWN_POLICY, DataPolicy
from broker.providers.vendors import Vendor, vendors
from broker.requests.operations import Interface

ANYBODY = "*"


@dataclass(frozen=True, slots=True)
class Abilities:
    """The capabilities of a model. None means unknown."""

    input: tuple[str, ...] | None = None
    output: tuple[str, ...] | None = None
    context: int | None = None
    max_output: int | None = None
    parameters: tuple[str, ...] | None = None
    interface: Interface | None = None  # the API that serves it everywhere


@lru_cache(maxsize=10_000)
def abilities_of(slug: str) -> Abilities:
    """Return what the tables that match a slug say together, a later one over an earlier."""
    found = Abilities()
    author = slug.partition("/")[0]
    for _, pattern, said in sorted(
        [*_by_author()[ANYBODY], *_by_author().get(author, ())], key=_place
    ):
        if pattern.match(slug):
            found = replace(found, **said)
    return found


def _place(rule: tuple[int, re.Pattern[str], Any]) -> int:
    return rule[0]


@cache
def _by_author() -> Mapping[str, Sequence[tuple[int, re.Pattern[str], Mapping[str, Any]]]]:
    """Return (place in the file, pattern, what it says) by the author that the pattern names."""
    table = tomllib.loads((files("broker.catalog") / "families.toml").read_text())
    named = table["parameters"]
    rules: dict[str, list[tuple[int, re.Pattern[str], Mapping[str, Any]]]] = defaultdict(list)
    rules[ANYBODY] = []
    for place, family in enumerate(table["families"]):
        said = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in family.items()
            if name not in {"match", "parameters"}
        }
        if "parameters" in family:
            said["parameters"] = tuple(named[family["parameters"]])
        if "interface" in family:
            said["interface"] = Interface(family["interface"])
        for glob in family["match"]:
            pattern = re.compile(translate(glob))
            rules[glob.partition("/")[0]].append((place, pattern, said))
    return rules


OWN_MACHINE = DataPolicy(trains=False, retention_days=0, zdr=True)
TERMS = ("trains", "retention_days", "zdr")


@dataclass(frozen=True, slots=True)
class Pages:
    """The web pages of a vendor."""

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
    said = _policies().get(vendor.slug, {})
    return DataPolicy(**{name: said[name] for name in TERMS if name in said})


def pages_of(slug: str) -> Pages:
    said = {name: value for name, value in _policies().get(slug, {}).items() if name not in TERMS}
    if "datacenters" in said:
        said["datacenters"] = tuple(said["datacenters"])
    return Pages(**said)


@cache
def _policies() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((files("broker.catalog") / "policies.toml").read_text())


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


_GEMINI_BY_QUERY = re.compile(r"gemini-(?:[3-9]|\d\d)|-latest$")
_PER_THOUSAND_USD = {"anthropic": 10, "gemini": 35}
_PER_THOUSAND_QUERIES_USD = 14


def search_fee(wire: str, native_model: str) -> int:
    """Return nano-dollars per search; 0 for a wire whose vendors have no search tool."""
    usd = _PER_THOUSAND_USD.get(wire, 0)
    if wire == "gemini" and _GEMINI_BY_QUERY.search(native_model):
        usd = _PER_THOUSAND_QUERIES_USD
    return usd * NANOS_PER_USD // 1000
