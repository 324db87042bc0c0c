"""Select and sort the models of a listing, with OpenRouter's filters and sorts. Pure."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from broker.catalog.models import Model
from broker.errors import InvalidRequestError
from broker.pricing import Price
from broker.providers.endpoint_stats import NO_SNAPSHOT, EndpointStats, Snapshot


@cache
def load_task_fit() -> Mapping[str, Mapping[str, float]]:
    """Return the fit, 0 to 1, of each listed model slug by task kind (`task_fit.toml`)."""
    table = tomllib.loads((files("broker.catalog") / "task_fit.toml").read_text())
    columns = table["columns"]
    return {slug: dict(zip(columns, row, strict=True)) for slug, row in table["fit"].items()}


MILLION_DOLLARS = 1_000_000_000  # nano-dollars per million tokens that are a dollar per million
DAY_SECONDS = 86_400
DIGITS = re.compile(r"([0-9]+)")
GOOD_FIT = 0.8

CATEGORIES: Mapping[str, str] = {
    "programming": "code",
    "technology": "code",
    "finance": "maths",
    "science": "reasoning",
    "academia": "reasoning",
    "health": "reasoning",
    "legal": "long_context",
    "translation": "multilingual",
    "roleplay": "writing",
    "marketing": "writing",
    "marketing/seo": "writing",
    "trivia": "chat",
}
"""OpenRouter's use cases → the task in `task_fit.toml` that a model must fit."""

TOKENIZERS: Mapping[str, str] = {
    "openai": "GPT",
    "anthropic": "Claude",
    "google": "Gemini",
    "x-ai": "Grok",
    "qwen": "Qwen",
    "deepseek": "DeepSeek",
    "mistralai": "Mistral",
    "meta-llama": "Llama3",
    "cohere": "Cohere",
    "amazon": "Nova",
}


USUAL_OUTPUTS = frozenset({"text"})
"""Output modalities of the listed models, unless a caller requests others."""


@dataclass(frozen=True, slots=True)
class ListingFilter:
    """The filter of a listing; None and empty select everything."""

    q: str | None = None
    category: str | None = None
    input_modalities: frozenset[str] = frozenset()  # all of them
    output_modalities: frozenset[str] = frozenset()  # one of them
    supported_parameters: frozenset[str] = frozenset()  # all of them
    context: int | None = None  # tokens at least
    min_price: float | None = None  # of the prompt, US dollars per million tokens
    max_price: float | None = None
    min_output_price: float | None = None
    max_output_price: float | None = None
    model_authors: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()  # slugs or names
    arch: str | None = None  # GPT, Claude, …
    zdr: bool = False
    min_age_days: int | None = None
    max_age_days: int | None = None
    allowed: Sequence[str] | None = None  # slugs and patterns of a key


def select_models(
    models: Iterable[Model], criteria: ListingFilter, *, names: Mapping[str, str], now: int
) -> list[Model]:
    """Return the models that pass every filter. `names` are providers' by slug, `now` Unix seconds.

    Raises InvalidRequestError for an unknown category.
    """
    if criteria.category is not None and criteria.category not in CATEGORIES:
        raise InvalidRequestError(
            f"There is no category {criteria.category!r}; there are {', '.join(CATEGORIES)}.",
            param="category",
        )
    return [
        model
        for model in models
        if _matches(model, criteria)
        and _is_priced(find_lowest_price(model), criteria)
        and _is_of_age(model, criteria, now)
        and _is_served(model, criteria, names)
    ]


def _matches(model: Model, criteria: ListingFilter) -> bool:
    author = find_author(model)
    parameters = model.supported_parameters
    return (
        (criteria.q is None or criteria.q.lower() in f"{model.slug} {model.name}".lower())
        and (
            criteria.category is None or find_fit(model, CATEGORIES[criteria.category]) >= GOOD_FIT
        )
        and criteria.input_modalities <= frozenset(model.input_modalities)
        and (
            not criteria.output_modalities
            or not criteria.output_modalities.isdisjoint(model.output_modalities)
        )
        and (parameters is None or criteria.supported_parameters <= frozenset(parameters))
        and (criteria.context is None or (model.context_length or 0) >= criteria.context)
        and (not criteria.model_authors or author in criteria.model_authors)
        and (criteria.arch is None or criteria.arch.lower() == find_tokenizer(model).lower())
        and (
            criteria.allowed is None
            or any(fnmatchcase(model.slug, each) for each in criteria.allowed)
        )
    )


def _is_priced(price: Price, criteria: ListingFilter) -> bool:
    prompt, completion = price.prompt / MILLION_DOLLARS, price.completion / MILLION_DOLLARS
    return (
        (criteria.min_price is None or prompt >= criteria.min_price)
        and (criteria.max_price is None or prompt <= criteria.max_price)
        and (criteria.min_output_price is None or completion >= criteria.min_output_price)
        and (criteria.max_output_price is None or completion <= criteria.max_output_price)
    )


def _is_of_age(model: Model, criteria: ListingFilter, now: int) -> bool:
    if criteria.min_age_days is None and criteria.max_age_days is None:
        return True
    days = (now - model.created) / DAY_SECONDS
    return bool(model.created) and (
        (criteria.min_age_days is None or days >= criteria.min_age_days)
        and (criteria.max_age_days is None or days <= criteria.max_age_days)
    )


def _is_served(model: Model, criteria: ListingFilter, names: Mapping[str, str]) -> bool:
    """Return whether one endpoint matches both the provider filter and the ZDR filter."""
    providers = {each.lower() for each in criteria.providers}
    return any(
        (not providers or {each.provider, names.get(each.provider, "").lower()} & providers)
        and (each.data_policy.zdr or not criteria.zdr)
        for each in model.endpoints
    )


def find_author(model: Model) -> str:
    return model.slug.partition("/")[0]


def find_tokenizer(model: Model) -> str:
    """Return OpenRouter's name of a model's tokenizer."""
    return TOKENIZERS.get(find_author(model), "Other")


def find_lowest_price(model: Model) -> Price:
    """Return the prices of its cheapest endpoint."""
    prices = [each.price for each in model.endpoints]
    return min(prices, key=lambda price: price.prompt + price.completion, default=Price())


def find_fit(model: Model, task: str) -> float:
    return load_task_fit().get(model.slug, {}).get(task, 0.0)


def build_sort_key(model: Model) -> list[tuple[int, int, str]]:
    """Return a key that puts `gpt-5` before `gpt-10`."""
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in DIGITS.split(model.slug)
        if part
    ]


Key: TypeAlias = Callable[[Model, Snapshot], float]


def _compute_average_price(model: Model, _: Snapshot) -> float:
    price = find_lowest_price(model)
    return price.prompt + price.completion


def _find_latency(model: Model, snapshot: Snapshot) -> float:
    known = [e.latency_30m.p50 for e in _find_stats(model, snapshot) if e.latency_30m]
    return min(known, default=float("inf"))


def _find_throughput(model: Model, snapshot: Snapshot) -> float:
    known = [e.throughput_30m.p50 for e in _find_stats(model, snapshot) if e.throughput_30m]
    return -max(known, default=0.0)


def _find_stats(model: Model, snapshot: Snapshot) -> list[EndpointStats]:
    return [snapshot.find(each.provider, model.slug) for each in model.endpoints]


SORTS: Mapping[str, Key] = {
    "newest": lambda model, _: -model.created,
    "pricing-low-to-high": _compute_average_price,
    "pricing-high-to-low": lambda model, snapshot: -_compute_average_price(model, snapshot),
    "context-high-to-low": lambda model, _: -(model.context_length or 0),
    "throughput-high-to-low": _find_throughput,
    "latency-low-to-high": _find_latency,
    "intelligence-high-to-low": lambda model, _: -find_fit(model, "reasoning"),
    "coding-high-to-low": lambda model, _: -find_fit(model, "code"),
    "agentic-high-to-low": lambda model, _: -find_fit(model, "tools"),
}
"""Sort keys, ascending. Models with equal keys are sorted by slug."""


def sort_models(
    models: Iterable[Model], sort: str | None, snapshot: Snapshot = NO_SNAPSHOT
) -> list[Model]:
    """Return the models in the requested order, by default by slug. Raises InvalidRequestError."""
    by_slug = sorted(models, key=lambda model: model.slug)
    if sort is None:
        return by_slug
    if sort not in SORTS:
        raise InvalidRequestError(
            f"Models cannot be sorted by {sort!r}; by {', '.join(SORTS)} they can.", param="sort"
        )
    key = SORTS[sort]
    return sorted(by_slug, key=lambda model: key(model, snapshot))
