"""Read JSON as it is written in the wild, into values that can be written as valid JSON again.

Strict JSON takes the fast path. The rest is repaired: a byte order mark, text that is not UTF-8,
half of a surrogate pair, control characters in strings, `NaN`, `Infinity`, and numbers that no
double can hold.
"""

import json
import math
import re
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = r"\ufffd"
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)
_INTEGERS = range(-(2**63), 2**64)  # what the JSON writer takes
_LONGEST_INTEGER = 100  # digits; a longer one is read as a float, as all that are too large


def loads(data: bytes) -> Any:
    """Return the parsed value. Raises ValueError where the bytes are not JSON even so.

    Half a surrogate pair becomes U+FFFD, a number that is not finite becomes None.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        strict = error
    text = data.removeprefix(_BOM).decode("utf-8", "replace")
    try:
        return json.loads(
            _ESCAPE.sub(_whole_escape, text),
            strict=False,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_integer,
        )
    except (ValueError, RecursionError):
        raise ValueError(str(strict)) from None


def _whole_escape(found: re.Match[str]) -> str:
    return found[0] if found["half"] is None else _REPLACEMENT


def _no_number(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _integer(digits: str) -> int | float | None:
    if len(digits) > _LONGEST_INTEGER:
        return _finite(digits)
    value = int(digits)
    return value if value in _INTEGERS else float(value)
