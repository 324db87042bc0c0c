"""JSON in which a whole number may be written as `40.0` or `4e1`. Pure.

JSON Schema (2020-12, 6.1.1) counts such a number as an integer, and JavaScript, in which most
clients and OpenRouter itself are written, cannot distinguish the two. Python can, and so can many
providers, so whole numbers get their plain spelling as they are read.
"""

import re
from typing import Any

import orjson

_PERHAPS = re.compile(rb"\d\.0|\d[eE]")
_MOST_EXACT = 2**53
"""A double holds whole numbers exactly up to here."""


def loads(raw: bytes) -> Any:
    """Parse JSON. Raises orjson.JSONDecodeError."""
    parsed = orjson.loads(raw)
    if isinstance(parsed, dict | list) and _PERHAPS.search(raw):
        _rewrite(parsed)
    return parsed


def _rewrite(parsed: dict[str, Any] | list[Any]) -> None:
    """Replace floats without a fraction by integers, in place and at any depth."""
    left: list[Any] = [parsed]
    while left:
        holder = left.pop()
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_EXACT:
                holder[key] = int(value)
            elif isinstance(value, dict | list):
                left.append(value)
