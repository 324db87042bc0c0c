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

ANY_AUTHOR = "*"


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
def find_abilities(slug: str) -> Abilities:
    """Return the abilities of a model from all tables that match its slug; later ones override."""
    found = Abilities()
    author = slug.partition("/")[0]
    for _, pattern, facts in sorted(
        [*_load_rules()[ANY_AUTHOR], *_load_rules().get(author, ())], key=_find_position
    ):
        if pattern.match(slug):
            found = replace(found, **facts)
    return found


def _find_position(rule: tuple[int, re.Pattern[str], Any]) -> int:
    return rule[0]


@cache
def _load_rules() -> Mapping[str, Sequence[tuple[int, re.Pattern[str], Mapping[str, Any]]]]:
    """Return the rules (position in the file, pattern, facts) by the author in the pattern."""
    table = tomllib.loads((files("broker.catalog") / "families.toml").read_text())
    provider_slugs = table["parameters"]
    rules: dict[str, list[tuple[int, re.Pattern[str], Mapping[str, Any]]]] = defaultdict(list)
    rules[ANY_AUTHOR] = []
    for position, family in enumerate(table["families"]):
        facts = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in family.items()
            if name not in {"match", "parameters"}
        }
        if "parameters" in family:
            facts["parameters"] = tuple(provider_slugs[family["parameters"]])
        if "interface" in family:
            facts["interface"] = Interface(family["interface"])
        for glob in family["match"]:
            pattern = re.compile(translate(glob))
            rules[glob.partition("/")[0]].append((position, pattern, facts))
    return rules


LOCAL_POLICY = DataPolicy(trains=False, retention_days=0, zdr=True)
POLICY_FIELDS = ("trains", "retention_days", "zdr")


@dataclass(frozen=True, slots=True)
class VendorPages:
    """The web pages of a vendor."""

    privacy: str | None = None
    terms: str | None = None
    status: str | None = None
    headquarters: str | None = None  # ISO 3166 code
    datacenters: tuple[str, ...] | None = None


def find_policy(provider: Provider) -> DataPolicy:
    """Return a provider's data policy: that of waybill.toml, else that of its vendor."""
    if provider.data_policy is not None:
        return provider.data_policy
    return UNKNOWN_POLICY if provider.vendor is None else find_vendor_policy(provider.vendor)


def find_vendor_policy(vendor: Vendor) -> DataPolicy:
    if vendor.local:
        return LOCAL_POLICY
    facts = _load_policies().get(vendor.slug, {})
    return DataPolicy(**{name: facts[name] for name in POLICY_FIELDS if name in facts})


def find_pages(slug: str) -> VendorPages:
    facts = {
        name: value
        for name, value in _load_policies().get(slug, {}).items()
        if name not in POLICY_FIELDS
    }
    if "datacenters" in facts:
        facts["datacenters"] = tuple(facts["datacenters"])
    return VendorPages(**facts)


@cache
def _load_policies() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((files("broker.catalog") / "policies.toml").read_text())


PROVIDERS_KEY = "at"


def find_retirement(provider: str, native: str) -> str | None:
    """Return the ISO date of a model's retirement at a provider, if it is known."""
    name = native.lower()
    for author, days in _load_retirements().get(provider, ()):
        bare = name if author is None else name.removeprefix(f"{author}/")
        if author is not None and bare == name:
            continue  # another author's model
        for day, patterns in days.items():
            if any(fnmatchcase(bare, pattern) for pattern in patterns):
                return day
    return None


def find_interface(provider: str, native: str) -> Interface | None:
    """Return the API by which a provider serves a model, if it is not the usual one."""
    vendor = vendors().get(provider)
    if vendor is None or not vendor.responses:
        return None
    is_listed = any(fnmatchcase(native.lower(), pattern) for pattern in vendor.responses)
    return Interface.RESPONSES if is_listed else None


@cache
def _load_retirements() -> Mapping[str, Sequence[tuple[str | None, Mapping[str, Sequence[str]]]]]:
    """Return (author that the id must have, patterns by day) for each provider."""
    table = tomllib.loads((files("broker.catalog") / "retirements.toml").read_text())
    found: dict[str, list[tuple[str | None, Mapping[str, Sequence[str]]]]] = {}
    for vendor, rows in table.items():
        days = {day: patterns for day, patterns in rows.items() if day != PROVIDERS_KEY}
        for provider, author in _list_providers(vendor, rows.get(PROVIDERS_KEY, [vendor])):
            found.setdefault(provider, []).append((author, days))
    return found


def _list_providers(vendor: str, provider_slugs: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the providers of a table, with the author where ids contain one."""
    for provider in provider_slugs:
        slugs_are_ids = vendors()[provider].prices == "openrouter"
        yield provider, vendor if slugs_are_ids else None


_GEMINI_BY_QUERY = re.compile(r"gemini-(?:[3-9]|\d\d)|-latest$")
_PER_THOUSAND_USD = {"anthropic": 10, "gemini": 35}
_PER_THOUSAND_QUERIES_USD = 14
_PER_THOUSAND_BY_RESPONSES_USD = 10  # OpenAI's tool of the Responses API, for reasoning models


def find_search_fee(wire: str, native_model: str, interface: Interface = Interface.PATHS) -> int:
    """Return nano-dollars per search; 0 for a wire whose vendors have no search tool."""
    usd = _PER_THOUSAND_USD.get(wire, 0)
    if interface is Interface.RESPONSES:
        usd = _PER_THOUSAND_BY_RESPONSES_USD
    if wire == "gemini" and _GEMINI_BY_QUERY.search(native_model):
        usd = _PER_THOUSAND_QUERIES_USD
    return usd * NANOS_PER_USD // 1000
