"""Describe what is wrong with a body, and where."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from broker.errors import InvalidRequestError

PATTERNS = {
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "lower-case letters, digits and single hyphens, as my-team",
    r"^[^\x00]*$": "text without a NUL",
    r"^[^\x00\s]+$": "text without spaces",
}
"""Regular expressions of fields, in words."""


MUST_BE = "must be "
ISO_TIME = f"{MUST_BE}a time with its zone, as 2030-12-31T23:59:59Z"

PLAIN = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "datetime_from_date_parsing": ISO_TIME,
    "datetime_parsing": ISO_TIME,
    "datetime_type": ISO_TIME,
    "dict_type": "must be an object",
    "enum": "must be {expected}",
    "extra_forbidden": "there is no such field",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is needed",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must be {form}",
    "string_too_long": "may have {max_length} characters at most",
    "string_too_short": "must have {min_length} or more characters",
    "string_type": "must be text",
    "timezone_aware": ISO_TIME,
    "too_long": "may have {max_length} in it at most",
    "too_short": "must have {min_length} or more in it",
    "union_tag_invalid": "{tag!r} is none of {expected_tags}",
    "union_tag_not_found": "is needed",
}
"""Messages for callers instead of Pydantic's, which name Python types."""


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Describe one of Pydantic's `errors()`."""
    message: str = problem["msg"]
    plain = PLAIN.get(problem["type"])
    return (
        message.removeprefix("Value error, ")
        if plain is None
        else plain.format_map(_find_details(problem))
    )


def _find_details(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    details = problem.get("ctx", {})
    plain = {
        name: _number(value) if type(value) is float else value for name, value in details.items()
    }
    return plain | {"form": PATTERNS.get(details.get("pattern"), f"like {details.get('pattern')}")}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:g}"


def build_error(
    error: ValidationError, body: Any, prefix: Sequence[str] = ()
) -> InvalidRequestError:
    """Build an error that names the field of the body from the first validation problem."""
    problems = error.errors(include_url=False)
    located = [(_location(each, body), describe_problem(each)) for each in problems]
    first, _ = located[0]
    # a union reports every form; the form with the deepest error is the likely one
    same = [each for each in located if each[0][: len(first)] == first]
    location = max((path for path, _ in same), key=len)
    message = _join_messages([each for path, each in same if path == location])
    field = ".".join([*prefix, *map(str, location)])
    rest = len(problems) - len(same)
    unknown = [
        ".".join([*prefix, *map(str, path)])
        for each, (path, _) in zip(problems, located, strict=True)
        if each["type"] == "extra_forbidden" and path != location
    ]
    if unknown:  # a wrong name makes one field missing and another unknown
        return InvalidRequestError(
            f"{field or 'body'}: {message}; {unknown[0][:64]}: {PLAIN['extra_forbidden']}",
            param=field or None,
        )
    suffix = f" (and {rest} more)" if rest else ""
    return InvalidRequestError(f"{field or 'body'}: {message}{suffix}", param=field or None)


def _join_messages(messages: Sequence[str]) -> str:
    """Join the messages of the forms of a union with equally deep errors."""
    first, *rest = dict.fromkeys(messages)
    if not all(each.startswith(MUST_BE) for each in (first, *rest)):
        return first
    return " or ".join([first, *(each.removeprefix(MUST_BE) for each in rest)])


def _location(problem: Mapping[str, Any], body: Any) -> list[int | str]:
    """Return the path of a problem in the body.

    Pydantic also names the members and tags of unions, which no caller knows. They are the steps
    that the body does not have, except for the name of a missing field. Where no member was chosen,
    what chooses among them is the field that is wrong.
    """
    path: list[int | str] = []
    value = body
    *before, last = problem["loc"] or (None,)
    for step in before:
        if _has(value, step):
            path.append(step)
            value = value[step]
    if last is not None and (problem["type"] == "missing" or _has(value, last)):
        path.append(last)
    if problem["type"].startswith("union_tag_"):
        path.append(problem["ctx"]["discriminator"].strip("'"))
    return path


def _has(value: Any, step: Any) -> bool:
    """Return whether a value has a field or an entry."""
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, Mapping) and step in value
