"""Describe what is wrong with a configuration, by the names its writer used."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from broker.settings.rows import (
    DOLLARS,
    FLOWER_LOGIN,
    MODEL_SLUG,
    SLUG,
    DataPolicyRow,
    EndpointRow,
    ModelRow,
    ProviderRow,
    TierRow,
)

PLAIN = {
    "bool_parsing": "must be true or false",
    "extra_forbidden": "there is no such field",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is needed",
    "model_type": "must be a table",
    "string_type": "must be text",
    "too_short": "must have {min_length} or more in it",
}
"""Instead of Pydantic's words, which are about Python."""

SHAPES = {
    SLUG: "must be lower-case letters, digits and hyphens",
    MODEL_SLUG: "must be author/name",
    DOLLARS: "must be US dollars, as 0.15",
    FLOWER_LOGIN: "must be `user:password` without spaces or commas, or `off`",
}
ROWS: Mapping[str, type[BaseModel]] = {
    "providers": ProviderRow,
    "data_policy": DataPolicyRow,
    "models": ModelRow,
    "endpoints": EndpointRow,
    "tiers": TierRow,
}
"""The models of the tables of waybill.toml."""


def message_of(problem: Mapping[str, Any]) -> str:
    """Say what is wrong and where, from one of Pydantic's `errors()`."""
    place: Sequence[int | str] = problem["loc"]
    where = ".".join(map(str, place)) + ": " if place else ""
    return where + _message(problem, place)


def near(name: str, known: Collection[str]) -> str:
    """Return the question whether the name that is most like this one was meant, or nothing."""
    found = get_close_matches(name, known, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _message(problem: Mapping[str, Any], place: Sequence[int | str]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return SHAPES[context["pattern"]]
    words = PLAIN.get(kind)
    if words is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    said: str = words.format_map(context)
    if kind == "extra_forbidden":
        table = next(step for step in reversed(place[:-1]) if isinstance(step, str))
        return said + near(str(place[-1]), ROWS[table].model_fields)
    return f"{said}: write [[{place[0]}]]" if kind == "list_type" and place[0] in ROWS else said
