"""A caller's preferences: the body's `provider`, `routing` and `route`, and suffixes of slugs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from broker.completion import Json
from broker.money import NANOS_PER_USD
from broker.requests.plugins import NO_WEB
from broker.routing import fields

PERCENTILES = ("p50", "p75", "p90", "p99")
QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32",
     "unknown"}
)  # fmt: skip
PRICED = frozenset({"prompt", "completion", "request", "image", "audio"})


MOST = 1e9  # USD: more than any price

NOT_OPTIONS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "best_of",
    }
)
"""Fields that the plan and the hold depend on; options of a provider cannot change them."""


class Sort(StrEnum):
    """The single criterion that decides the order."""

    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    EXACTO = "exacto"  # quality first


STRATEGIES = {"cost": Sort.PRICE, "speed": Sort.THROUGHPUT, "balanced": None}
PARTITIONS = ("model", "none")


@dataclass(frozen=True, slots=True)
class Preferences:
    """A caller's checked preferences. The defaults are OpenRouter's."""

    order: Sequence[str] = ()  # provider slugs, first choice first
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    data_collection: bool = True  # False: no endpoint that may store or train
    zdr: bool = False
    distillable: bool = False  # only models whose text others may be trained on
    quantizations: frozenset[str] | None = None
    sort: Sort | None = None  # None: weighed by price, speed and reliability
    across_models: bool = False  # order all models' endpoints together
    min_throughput: Mapping[str, float] = field(default_factory=dict)  # percentile → tokens/s
    max_latency: Mapping[str, float] = field(default_factory=dict)  # percentile → seconds
    max_price: Mapping[str, int] = field(default_factory=dict)  # nano-dollars, tokens per million
    options: frozenset[str] = frozenset()  # providers that some are given for


NO_PREFERENCES = Preferences()


def preferences(body: Json) -> Preferences:
    """Read a body's preferences. Raises InvalidRequestError that names the field."""
    found = _provider(body.get("provider"))
    found |= _route(body.get("route"), found)
    found |= _strategy(body.get("routing"), found)
    return Preferences(**found) if found else NO_PREFERENCES


def options(body: Json, provider: str) -> Json:
    """Return what `provider.options` asks to be passed through to this provider, and no other."""
    given = body.get("provider")
    named = given.get("options") if isinstance(given, dict) else None
    if not isinstance(named, dict):
        return {}
    own: Json = next((each for name, each in named.items() if slug(name) == provider), {})
    return {name: value for name, value in own.items() if name not in NOT_OPTIONS}


def _provider(value: Any) -> Json:
    if value is None:
        return {}
    found: Json = {}
    for name, given in fields.table(value, "provider", _READERS).items():
        if given is not None:
            found |= _READERS[name](given, f"provider.{name}")
    return found


def _route(value: Any, found: Json) -> Json:
    """`route: sort` is the old way to write `partition: none`."""
    if value == "sort" and "across_models" not in found:
        return {"across_models": True}
    return {}


def _strategy(value: Any, found: Json) -> Json:
    if value is None:
        return {}
    strategy = fields.table(value, "routing", ("strategy",)).get("strategy")
    if strategy is None or "sort" in found:
        return {}
    return {"sort": STRATEGIES[fields.word(strategy, "routing.strategy", STRATEGIES)]}


def slug(name: str) -> str:
    """Return a provider's slug, also where its display name was written."""
    return name.strip().lower().replace(" ", "-")


def _slugs(value: Any, where: str) -> list[str]:
    return [slug(name) for name in fields.texts(value, where)]


def _sort(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        return {"sort": Sort(fields.word(value, where, list(Sort)))}
    given = fields.table(value, where, ("by", "partition"))
    found: Json = {}
    if given.get("by") is not None:
        found["sort"] = Sort(fields.word(given["by"], f"{where}.by", list(Sort)))
    if given.get("partition") is not None:
        partition = fields.word(given["partition"], f"{where}.partition", PARTITIONS)
        found["across_models"] = partition == "none"
    return found


def _cutoffs(value: Any, where: str) -> dict[str, float]:
    """Read a cutoff at the median, or one for each of several percentiles."""
    if not isinstance(value, dict):
        return {"p50": fields.number(value, where)}
    given = fields.table(value, where, PERCENTILES)
    return {
        name: fields.number(each, f"{where}.{name}")
        for name, each in given.items()
        if each is not None
    }


def _prices(value: Any, where: str) -> dict[str, int]:
    """Read dollars: per million tokens, per request, per image."""
    given = fields.table(value, where, PRICED)
    return {
        name: round(min(fields.number(each, f"{where}.{name}", zero=True), MOST) * NANOS_PER_USD)
        for name, each in given.items()
        if each is not None
    }


def _quantizations(value: Any, where: str) -> frozenset[str]:
    return frozenset(fields.word(each, where, QUANTIZATIONS) for each in fields.texts(value, where))


def _options(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        fields.refuse(where, "an object of provider slugs, each with an object")
    for name, given in value.items():
        if not isinstance(given, dict):
            fields.refuse(f"{where}.{name}", "an object")
    return {"options": frozenset(map(slug, value))}  # themselves they are read where they are sent


def _prefer(value: Any, where: str) -> Json:
    """`cheapest` chooses the lane (`native_lane`); no endpoint moves for it."""
    fields.word(value, where, ("cheapest",))
    return {}


_READERS: Mapping[str, Any] = {
    "order": lambda value, where: {"order": tuple(_slugs(value, where))},
    "only": lambda value, where: {"only": frozenset(_slugs(value, where)) or None},
    "ignore": lambda value, where: {"ignore": frozenset(_slugs(value, where))},
    "allow_fallbacks": lambda value, where: {"allow_fallbacks": fields.flag(value, where)},
    "require_parameters": lambda value, where: {"require_parameters": fields.flag(value, where)},
    "data_collection": lambda value, where: {
        "data_collection": fields.word(value, where, ("allow", "deny")) == "allow"
    },
    "zdr": lambda value, where: {"zdr": fields.flag(value, where)},
    "enforce_distillable_text": lambda value, where: {"distillable": fields.flag(value, where)},
    "quantizations": lambda value, where: {"quantizations": _quantizations(value, where) or None},
    "sort": _sort,
    "prefer": _prefer,
    "preferred_min_throughput": lambda value, where: {"min_throughput": _cutoffs(value, where)},
    "preferred_max_latency": lambda value, where: {"max_latency": _cutoffs(value, where)},
    "max_price": lambda value, where: {"max_price": _prices(value, where)},
    "options": _options,
}


class Variant(StrEnum):
    """A suffix that says how to route, rather than what to run."""

    NITRO = "nitro"  # sorted by throughput
    FLOOR = "floor"  # sorted by price
    EXACTO = "exacto"  # quality first
    FREE = "free"  # only what costs nothing


SORTS = {
    Variant.NITRO: Sort.THROUGHPUT,
    Variant.FLOOR: Sort.PRICE,
    Variant.EXACTO: Sort.EXACTO,
}

MODELS_OF_THEIR_OWN = {
    "online": NO_WEB,
    "thinking": "no model of that name is: leave the suffix out, and ask for `reasoning`",
    "extended": "no model of that name is: leave the suffix out, or choose a longer context",
}
"""Suffixes that mean another model, which must be in the catalog under that name."""


def split_variant(slug: str) -> tuple[str, Variant | None]:
    """Return a slug without its suffix, and the suffix where it is one that routes."""
    base, _, suffix = slug.rpartition(":")
    return (base, Variant(suffix)) if base and suffix in _SUFFIXES else (slug, None)


def missing_variant(slug: str) -> str | None:
    """Return what to do instead where a suffix means a model that the catalog does not have."""
    return MODELS_OF_THEIR_OWN.get(slug.rpartition(":")[2]) if ":" in slug else None


_SUFFIXES = frozenset(Variant)
