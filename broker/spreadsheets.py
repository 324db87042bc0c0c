"""CSV: read by rows, and written so that no spreadsheet runs a cell as a formula."""

import csv
import re
from collections.abc import Iterator
from typing import Any, TextIO

LONGEST_FIELD = 1 << 24

FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell(value: Any) -> Any:
    """Return what to write for a value; numbers stay numbers."""
    is_text = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if is_text else value


def read_csv(file: TextIO, delimiter: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, by the names of its columns. Raises ValueError."""
    csv.field_size_limit(LONGEST_FIELD)
    try:
        for row in csv.DictReader(file, delimiter=delimiter, restval=""):
            if None in row:
                raise ValueError("a row has more fields than there are columns")
            yield dict(row)
    except csv.Error as error:
        raise ValueError(f"it cannot be read: {error}") from None
