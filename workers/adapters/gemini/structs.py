"""JSON objects as Google's `Struct`, the type of function arguments and responses.

Source: protobuf.dev/reference/protobuf/google.protobuf/#struct: every number is a double, and
messages nest 100 levels at most. A key that begins with `$` (`$ref`, `$defs`) is read as a
reference to another part of the request, and refused (vercel/ai#14369).
"""

from typing import Any

_MOST_LEVELS = 32
"""Each level of JSON takes up to three of protobuf's."""

_MOST_EXACT = 2**53
"""A double holds whole numbers exactly up to here: longer ids would lose their last digits."""


def passes_unchanged(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Tell whether Google takes a JSON value, and reads in it what was written."""
    if isinstance(value, dict):
        return levels > 0 and all(
            not name.startswith("$") and passes_unchanged(entry, levels - 1)
            for name, entry in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(passes_unchanged(entry, levels - 1) for entry in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _MOST_EXACT
    return True
