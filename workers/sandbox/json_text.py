"""Repair of a model's invalid JSON, and a check against a caller's JSON Schema."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

_HALVES = re.compile("[\ud800-\udfff]")


def repair(text: str, schema: Mapping[str, Any] | None) -> tuple[str, str | None]:
    """Return the repaired JSON, and the remaining violation (None = it is valid)."""
    try:
        repaired, value = _read(text)
        violation = None if schema is None else find_violation(value, schema)
    except RecursionError:
        return text, "it is nested too deeply"
    except ValueError:
        return text, "it is not JSON"
    return repaired, None if violation is None else _storable(violation)


def _read(text: str) -> tuple[str, Any]:
    """Return the repaired JSON and its value. Raises ValueError where there is none."""
    try:
        return text, json.loads(text)
    except ValueError:
        value = _repair_value(text)
    if value is None:
        raise ValueError(text[:100])
    return _storable(json.dumps(value, ensure_ascii=False)), value


def _storable(text: str) -> str:
    """Replace halves of surrogate pairs, which neither JSON nor a database accepts."""
    return _HALVES.sub("\ufffd", text)


def _repair_value(text: str) -> Any:
    """Return the object or array in a text, or None. Prose is not converted into one."""
    import json_repair

    value = json_repair.loads(text)
    return value if isinstance(value, dict | list) and value else None


def find_violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the first violation of the schema, or None. An invalid schema has no violations."""
    from jsonschema.exceptions import best_match
    from referencing import Registry

    nowhere: Registry[Any] = Registry()  # references out of the schema are not fetched
    try:
        error = best_match(_validator()(schema, registry=nowhere).iter_errors(value))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001  # a caller's schema can raise anything
        return None
    return None if error is None else f"{error.json_path}: {error.message}"


@cache
def _validator() -> Any:
    """Return the class that checks values, without callers' regular expressions.

    Most of these are not ECMA-262 as Python reads it, and one of them can use up all the time that
    a check has.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    check: Callable[..., Any] = Draft202012Validator.VALIDATORS["additionalProperties"]

    def check_additional_properties(
        validator: Any, closed: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any] | tuple[()]:
        """Check nothing where the schema has patterns, which are not evaluated."""
        named_by_pattern = "patternProperties" in schema
        return () if named_by_pattern else check(validator, closed, instance, schema)

    return extend(
        Draft202012Validator,
        {
            **dict.fromkeys(_PATTERNS, _check_nothing),
            "additionalProperties": check_additional_properties,
        },
    )


def _check_nothing(*_: Any) -> Iterator[Any]:
    return iter(())


_PATTERNS: Sequence[str] = ("pattern", "patternProperties", "unevaluatedProperties")
