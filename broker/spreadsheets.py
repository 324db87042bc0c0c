"""CSV that is safe to open: a cell that a spreadsheet would run as a formula is made text."""

import re
from typing import Any

FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell(value: Any) -> Any:
    """Return what to write for a value; numbers stay numbers."""
    is_text = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if is_text else value
