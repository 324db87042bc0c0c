"""The models that a listing shows, in order: OpenRouter's filters and sorts. Pure."""

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
def task_fit() -> Mapping[str, Mapping[str, float]]:
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
"""OpenRouter's use cases → the task of `task_fit.toml` that a model must do well."""

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


def selected(
    models: Iterable[Model], wanted: ListingFilter, *, names: Mapping[str, str], now: int
) -> list[Model]:
    """Return the models that pass every filter. `names` are providers' by slug, `now` Unix seconds.

    Raises InvalidRequestError for a category that there is not.
    """
    if wanted.category is not None and wanted.category not in CATEGORIES:
        raise InvalidRequestError(
            f"There is no category {wanted.category!r}; there are {', '.join(CATEGORIES)}.",
            param="category",
        )
    return [
        model
        for model in models
        if _passes(model, wanted)
        and _is_priced(cheapest(model), wanted)
        and _is_of_age(model, wanted, now)
        and _is_served(model, wanted, names)
    ]


def _passes(model: Model, wanted: ListingFilter) -> bool:
    author = author_of(model)
    parameters = model.supported_parameters
    return (
        (wanted.q is None or wanted.q.lower() in f"{model.slug} {model.name}".lower())
        and (wanted.category is None or fit(model, CATEGORIES[wanted.category]) >= GOOD_FIT)
        and wanted.input_modalities <= frozenset(model.input_modalities)
        and (
            not wanted.output_modalities
            or not wanted.output_modalities.isdisjoint(model.output_modalities)
        )
        and (parameters is None or wanted.supported_parameters <= frozenset(parameters))
        and (wanted.context is None or (model.context_length or 0) >= wanted.context)
        and (not wanted.model_authors or author in wanted.model_authors)
        and (wanted.arch is None or wanted.arch.lower() == tokenizer(model).lower())
        and (
            wanted.allowed is None or any(fnmatchcase(model.slug, each) for each in wanted.allowed)
        )
    )


def _is_priced(price: Price, wanted: ListingFilter) -> bool:
    prompt, completion = price.prompt / MILLION_DOLLARS, price.completion / MILLION_DOLLARS
    return (
        (wanted.min_price is None or prompt >= wanted.min_price)
        and (wanted.max_price is None or prompt <= wanted.max_price)
        and (wanted.min_output_price is None or completion >= wanted.min_output_price)
        and (wanted.max_output_price is None or completion <= wanted.max_output_price)
    )


def _is_of_age(model: Model, wanted: ListingFilter, now: int) -> bool:
    if wanted.min_age_days is None and wanted.max_age_days is None:
        return True
    days = (now - model.created) / DAY_SECONDS
    return bool(model.created) and (
        (wanted.min_age_days is None or days >= wanted.min_age_days)
        and (wanted.max_age_days is None or days <= wanted.max_age_days)
    )


def _is_served(model: Model, wanted: ListingFilter, names: Mapping[str, str]) -> bool:
    """Tell whether one endpoint is of a wanted provider and keeps nothing, if that is wanted."""
    asked = {each.lower() for each in wanted.providers}
    return any(
        (not asked or {each.provider, names.get(each.provider, "").lower()} & asked)
        and (each.data_policy.zdr or not wanted.zdr)
        for each in model.endpoints
    )


def author_of(model: Model) -> str:
    return model.slug.partition("/")[0]


def tokenizer(model: Model) -> str:
    """Return OpenRouter's word for a model's kind of tokens."""
    return TOKENIZERS.get(author_of(model), "Other")


def cheapest(model: Model) -> Price:
    """Return the prices of its cheapest endpoint."""
    prices = [each.price for each in model.endpoints]
    return min(prices, key=lambda price: price.prompt + price.completion, default=Price())


def fit(model: Model, task: str) -> float:
    return task_fit().get(model.slug, {}).get(task, 0.0)


def natural(model: Model) -> list[tuple[int, int, str]]:
    """Return a key that puts `gpt-5` before `gpt-10`."""
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in DIGITS.split(model.slug)
        if part
    ]


Key: TypeAlias = Callable[[Model, Snapshot], float]


def _average(model: Model, _: Snapshot) -> float:
    price = cheapest(model)
    return price.prompt + price.completion


def _latency(model: Model, snapshot: Snapshot) -> float:
    known = [e.latency_30m.p50 for e in _stats(model, snapshot) if e.latency_30m]
    return min(known, default=float("inf"))


def _throughput(model: Model, snapshot: Snapshot) -> float:
    known = [e.throughput_30m.p50 for e in _stats(model, snapshot) if e.throughput_30m]
    return -max(known, default=0.0)


def _stats(model: Model, snapshot: Snapshot) -> list[EndpointStats]:
    return [snapshot.find(each.provider, model.slug) for each in model.endpoints]


SORTS: Mapping[str, Key] = {
    "newest": lambda model, _: -model.created,
    "pricing-low-to-high": _average,
    "pricing-high-to-low": lambda model, snapshot: -_average(model, snapshot),
    "context-high-to-low": lambda model, _: -(model.context_length or 0),
    "throughput-high-to-low": _throughput,
    "latency-low-to-high": _latency,
    "intelligence-high-to-low": lambda model, _: -fit(model, "reasoning"),
    "coding-high-to-low": lambda model, _: -fit(model, "code"),
    "agentic-high-to-low": lambda model, _: -fit(model, "tools"),
}
"""By rising key; equals stay in the order of their slugs."""


def ordered(
    models: Iterable[Model], sort: str | None, snapshot: Snapshot = NO_SNAPSHOT
) -> list[Model]:
    """Return the models in the order asked for, by slug if none is. Raises InvalidRequestError."""
    by_slug = sorted(models, key=lambda model: model.slug)
    if sort is None:
        return by_slug
    if sort not in SORTS:
        raise InvalidRequestError(
            f"Models cannot be sorted by {sort!r}; by {', '.join(SORTS)} they can.", param="sort"
        )
    key = SORTS[sort]
    return sorted(by_slug, key=lambda model: key(model, snapshot))
