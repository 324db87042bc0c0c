"""Describe errors of a configuration, with the names that its author used."""

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
"""Messages instead of Pydantic's, which name Python types."""

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


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Describe one of Pydantic's `errors()` and its location."""
    path: Sequence[int | str] = problem["loc"]
    where = ".".join(map(str, path)) + ": " if path else ""
    return where + _describe(problem, path)


def suggest(name: str, known: Collection[str]) -> str:
    """Return a suggestion of the most similar name, or an empty string."""
    found = get_close_matches(name, known, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _describe(problem: Mapping[str, Any], path: Sequence[int | str]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return SHAPES[context["pattern"]]
    words = PLAIN.get(kind)
    if words is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    message: str = words.format_map(context)
    if kind == "extra_forbidden":
        table = next(step for step in reversed(path[:-1]) if isinstance(step, str))
        return message + suggest(str(path[-1]), ROWS[table].model_fields)
    return f"{message}: write [[{path[0]}]]" if kind == "list_type" and path[0] in ROWS else message
