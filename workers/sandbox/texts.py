"""Checks of answers against callers' regular expressions and JSON Schemas."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from workers.sandbox.json_text import find_violation


def search(patterns: Sequence[str], text: str, *, ignore_case: bool) -> bool:
    """Return whether a pattern matches somewhere in a text. Raises re.error."""
    flags = re.IGNORECASE if ignore_case else 0
    return any(re.search(pattern, text, flags) for pattern in patterns)


def check_json(text: str, schema: Mapping[str, Any]) -> str | None:
    """Return why a text is not JSON that is valid under a schema, or None.

    Raises ValueError for a schema that is invalid itself.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"the schema is invalid: {error.message[:500]}") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    violation = find_violation(value, schema)
    return None if violation is None else violation[:500]
