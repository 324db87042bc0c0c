"""Read the fields of a body that concern routing, or raise an error that names the field."""

import difflib
from collections.abc import Collection
from typing import Any, NoReturn

from broker.completion import Json
from broker.errors import InvalidRequestError

MAX_ENTRIES = 1_000  # entries of a list
MAX_CHARACTERS = 256  # of a name


def refuse(field: str, expected: str) -> NoReturn:
    """Raise InvalidRequestError for a wrong value."""
    raise InvalidRequestError(f"{field}: expected {expected}.", param=field)


def read_table(value: Any, field: str, known: Collection[str]) -> Json:
    """Return an object. Raises InvalidRequestError for an unknown field, with a suggestion."""
    if not isinstance(value, dict):
        refuse(field, "an object")
    unknown = next((name for name in value if name not in known), None)
    if unknown is not None:
        unknown = unknown[:MAX_CHARACTERS]
        similar = difflib.get_close_matches(unknown, known, n=1)
        hint = (
            f" Did you mean {similar[0]!r}?" if similar else f" Known: {', '.join(sorted(known))}."
        )
        raise InvalidRequestError(
            f"{field}.{unknown}: there is no such field.{hint}", param=f"{field}.{unknown}"
        )
    return value


def read_flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        refuse(field, "true or false")
    return value


def read_texts(value: Any, field: str) -> list[str]:
    """Return a list of strings that are not empty."""
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        refuse(field, "a list of strings")
    if len(value) > MAX_ENTRIES:
        refuse(field, f"{MAX_ENTRIES} entries at most, not {len(value):,}")
    if any(len(each) > MAX_CHARACTERS for each in value):
        refuse(field, f"entries of {MAX_CHARACTERS} characters at most")
    return value


def read_text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        refuse(field, "a string")
    return value


def read_number(value: Any, field: str, *, zero: bool = False) -> float:
    """Return a finite number above zero, or zero if allowed; a string may contain it."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            refuse(field, "a number")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (value > 0 or (zero and value == 0)) or value == float("inf"):
        refuse(field, "a number of zero or more" if zero else "a number above zero")
    return float(value)


def read_word(value: Any, field: str, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        refuse(field, f"one of {', '.join(sorted(known))}")
    return value


MAX_MODELS = 16


def requested_models(body: Json) -> list[str]:
    """Return the requested model slugs, first choice first.

    `models` is OpenRouter's fallback list, `route.fallbacks` an alias of it.
    Raises InvalidRequestError that names the field.
    """
    route = body.get("route")
    fallbacks = route.get("fallbacks") if isinstance(route, dict) else None
    first = [body["model"]] if body.get("model") else []
    models = list(dict.fromkeys([*first, *(body.get("models") or []), *(fallbacks or [])]))
    if not models:
        raise InvalidRequestError(
            "`model` is missing: name one, e.g. one of GET /api/v1/models.", param="model"
        )
    if len(models) > MAX_MODELS:
        raise InvalidRequestError(
            f"{len(models)} models were named; a request may name at most {MAX_MODELS}.",
            param="models",
        )
    return models
