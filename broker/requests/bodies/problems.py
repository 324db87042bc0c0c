"""Describe what is wrong with a body, and where."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from broker.errors import InvalidRequestError

UNION_FORMS = re.compile(r"str|constrained-str|Route|(list|literal|dict)\[.*|function-.*")
"""Pydantic's names for the members of a union without tags."""

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
"""Messages for callers in place of Pydantic's, which speak of Python types."""


def plainly(problem: Mapping[str, Any]) -> str:
    """Say what is wrong, from one of Pydantic's `errors()`."""
    said: str = problem["msg"]
    plain = PLAIN.get(problem["type"])
    return said.removeprefix("Value error, ") if plain is None else plain.format_map(_told(problem))


def _told(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    told = problem.get("ctx", {})
    plain = {
        name: _number(value) if type(value) is float else value for name, value in told.items()
    }
    return plain | {"form": PATTERNS.get(told.get("pattern"), f"like {told.get('pattern')}")}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:g}"


def invalid(error: ValidationError, prefix: Sequence[str] = ()) -> InvalidRequestError:
    """Turn the first validation problem into an error that names the field."""
    problems = error.errors(include_url=False)
    located = [(_location(each), plainly(each)) for each in problems]
    first, _ = located[0]
    # a union complains of every form it could have: the form that was meant got furthest
    same = [each for each in located if each[0][: len(first)] == first]
    location = max((place for place, _ in same), key=len)
    message = _either([said for place, said in same if place == location])
    field = ".".join([*prefix, *map(str, location)])
    others = len(problems) - len(same)
    unknown = [
        ".".join([*prefix, *map(str, place)])
        for each, (place, _) in zip(problems, located, strict=True)
        if each["type"] == "extra_forbidden" and place != location
    ]
    if unknown:  # a slip in a name makes one field missing and another unknown
        return InvalidRequestError(
            f"{field or 'body'}: {message}; {unknown[0][:64]}: {PLAIN['extra_forbidden']}",
            param=field or None,
        )
    more = f" (and {others} more)" if others else ""
    return InvalidRequestError(f"{field or 'body'}: {message}{more}", param=field or None)


def _either(messages: Sequence[str]) -> str:
    """Return what the forms of a union that got equally far ask for."""
    first, *others = dict.fromkeys(messages)
    if not all(each.startswith(MUST_BE) for each in (first, *others)):
        return first
    return " or ".join([first, *(each.removeprefix(MUST_BE) for each in others)])


def _location(problem: Mapping[str, Any]) -> list[int | str]:
    """Leave out the names of union members, which Pydantic puts into a location: noise to a caller.

    Where none was chosen, what chooses among them is the field that is wrong. A tag (`user` in
    messages.0.user.content, `text` in content.1.text.text) comes after a number.
    """
    path: list[int | str] = []
    before: int | str = ""
    for step in problem["loc"]:
        if isinstance(step, str) and UNION_FORMS.fullmatch(step):
            continue
        is_tag = isinstance(before, int) and path[-2:-1] in (["messages"], ["content"])
        if not is_tag:
            path.append(step)
        before = step
    if problem["type"].startswith("union_tag_"):
        path.append(problem["ctx"]["discriminator"].strip("'"))
    return path
