"""Read a caller's preferences from `provider`, `routing` and `route`, and suffixes of slugs."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from broker.completion import Json
from broker.money import NANOS_PER_USD
from broker.requests.plugins import NO_WEB
from broker.routing import fields
from broker.values import immutable

PERCENTILES = ("p50", "p75", "p90", "p99")
QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32",
     "unknown"}
)  # fmt: skip
PRICE_FIELDS = frozenset({"prompt", "completion", "request", "image", "audio"})


MAX_USD = 1e9  # larger values are cut

RESERVED_FIELDS = frozenset(
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


@immutable
class Preferences:
    """A caller's checked preferences. The defaults are OpenRouter's."""

    order: Sequence[str] = ()  # provider slugs, first choice first
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    data_collection: bool = True  # False: no endpoint that may store or train
    zdr: bool = False
    distillable: bool = False  # only models whose text may train other models
    quantizations: frozenset[str] | None = None
    sort: Sort | None = None  # None: weighed by price, speed and reliability
    across_models: bool = False  # order all models' endpoints together
    min_throughput: Mapping[str, float] = field(default_factory=dict)  # percentile → tokens/s
    max_latency: Mapping[str, float] = field(default_factory=dict)  # percentile → seconds
    max_price: Mapping[str, int] = field(default_factory=dict)  # nano-dollars, tokens per million
    options: frozenset[str] = frozenset()  # providers for which `options` are given


NO_PREFERENCES = Preferences()


def read_preferences(body: Json) -> Preferences:
    """Read a body's preferences. Raises InvalidRequestError that names the field."""
    found = _read_provider(body.get("provider"))
    found |= _read_route(body.get("route"), found)
    found |= _read_strategy(body.get("routing"), found)
    return Preferences(**found) if found else NO_PREFERENCES


def read_provider_options(body: Json, provider: str) -> Json:
    """Return the fields of `provider.options` that are passed to this provider."""
    given = body.get("provider")
    by_name = given.get("options") if isinstance(given, dict) else None
    if not isinstance(by_name, dict):
        return {}
    found: Json = next((each for name, each in by_name.items() if to_slug(name) == provider), {})
    return {name: value for name, value in found.items() if name not in RESERVED_FIELDS}


def _read_provider(value: Any) -> Json:
    if value is None:
        return {}
    found: Json = {}
    for name, given in fields.read_table(value, "provider", _READERS).items():
        if given is not None:
            found |= _READERS[name](given, f"provider.{name}")
    return found


def _read_route(value: Any, found: Json) -> Json:
    """Read `route: sort`, the old form of `partition: none`."""
    if value == "sort" and "across_models" not in found:
        return {"across_models": True}
    return {}


def _read_strategy(value: Any, found: Json) -> Json:
    if value is None:
        return {}
    strategy = fields.read_table(value, "routing", ("strategy",)).get("strategy")
    if strategy is None or "sort" in found:
        return {}
    return {"sort": STRATEGIES[fields.read_word(strategy, "routing.strategy", STRATEGIES)]}


def to_slug(name: str) -> str:
    """Return a provider's slug from its slug or its display name."""
    return name.strip().lower().replace(" ", "-")


def _read_slugs(value: Any, path: str) -> list[str]:
    return [to_slug(name) for name in fields.read_texts(value, path)]


def _read_sort(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        return {"sort": Sort(fields.read_word(value, path, list(Sort)))}
    given = fields.read_table(value, path, ("by", "partition"))
    found: Json = {}
    if given.get("by") is not None:
        found["sort"] = Sort(fields.read_word(given["by"], f"{path}.by", list(Sort)))
    if given.get("partition") is not None:
        partition = fields.read_word(given["partition"], f"{path}.partition", PARTITIONS)
        found["across_models"] = partition == "none"
    return found


def _read_cutoffs(value: Any, path: str) -> dict[str, float]:
    """Read a cutoff at the median, or one for each of several percentiles."""
    if not isinstance(value, dict):
        return {"p50": fields.read_number(value, path)}
    given = fields.read_table(value, path, PERCENTILES)
    return {
        name: fields.read_number(each, f"{path}.{name}")
        for name, each in given.items()
        if each is not None
    }


def _read_prices(value: Any, path: str) -> dict[str, int]:
    """Read dollars: per million tokens, per request, per image."""
    given = fields.read_table(value, path, PRICE_FIELDS)
    return {
        name: round(
            min(fields.read_number(each, f"{path}.{name}", zero=True), MAX_USD) * NANOS_PER_USD
        )
        for name, each in given.items()
        if each is not None
    }


def _read_quantizations(value: Any, path: str) -> frozenset[str]:
    return frozenset(
        fields.read_word(each, path, QUANTIZATIONS) for each in fields.read_texts(value, path)
    )


def _read_options(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        fields.refuse(path, "an object of provider slugs, each with an object")
    for name, given in value.items():
        if not isinstance(given, dict):
            fields.refuse(f"{path}.{name}", "an object")
    return {"options": frozenset(map(to_slug, value))}  # the adapters read the options


def _read_prefer(value: Any, path: str) -> Json:
    """Check `prefer`; it chooses the lane (`native_batches`), not an endpoint."""
    fields.read_word(value, path, ("cheapest",))
    return {}


_READERS: Mapping[str, Any] = {
    "order": lambda value, path: {"order": tuple(_read_slugs(value, path))},
    "only": lambda value, path: {"only": frozenset(_read_slugs(value, path)) or None},
    "ignore": lambda value, path: {"ignore": frozenset(_read_slugs(value, path))},
    "allow_fallbacks": lambda value, path: {"allow_fallbacks": fields.read_flag(value, path)},
    "require_parameters": lambda value, path: {"require_parameters": fields.read_flag(value, path)},
    "data_collection": lambda value, path: {
        "data_collection": fields.read_word(value, path, ("allow", "deny")) == "allow"
    },
    "zdr": lambda value, path: {"zdr": fields.read_flag(value, path)},
    "enforce_distillable_text": lambda value, path: {"distillable": fields.read_flag(value, path)},
    "quantizations": lambda value, path: {
        "quantizations": _read_quantizations(value, path) or None
    },
    "sort": _read_sort,
    "prefer": _read_prefer,
    "preferred_min_throughput": lambda value, path: {"min_throughput": _read_cutoffs(value, path)},
    "preferred_max_latency": lambda value, path: {"max_latency": _read_cutoffs(value, path)},
    "max_price": lambda value, path: {"max_price": _read_prices(value, path)},
    "options": _read_options,
}


class Variant(StrEnum):
    """A routing suffix of a model slug."""

    NITRO = "nitro"  # sorted by throughput
    FLOOR = "floor"  # sorted by price
    EXACTO = "exacto"  # quality first
    FREE = "free"  # only free endpoints


SORTS = {
    Variant.NITRO: Sort.THROUGHPUT,
    Variant.FLOOR: Sort.PRICE,
    Variant.EXACTO: Sort.EXACTO,
}

MODEL_SUFFIXES = {
    "online": NO_WEB,
    "thinking": "no model of that name is: leave the suffix out, and ask for `reasoning`",
    "extended": "no model of that name is: leave the suffix out, or choose a longer context",
}
"""Suffixes that mean another model, which must be in the catalog under that name."""


def split_variant(slug: str) -> tuple[str, Variant | None]:
    """Return a slug without its routing suffix, and the suffix if it has one."""
    base, _, suffix = slug.rpartition(":")
    return (base, Variant(suffix)) if base and suffix in _SUFFIXES else (slug, None)


def find_missing_variant(slug: str) -> str | None:
    """Return an alternative where a suffix names a model that the catalog does not have."""
    return MODEL_SUFFIXES.get(slug.rpartition(":")[2]) if ":" in slug else None


_SUFFIXES = frozenset(Variant)
