"""Lenient reading of providers' JSON and of the shapes in it."""

import json
import math
import re
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.base import MalformedAnswerError

_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = r"\ufffd"
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)
_INTEGERS = range(-(2**63), 2**64)  # the JSON writer takes no others
_LONGEST_INTEGER = 100  # digits; a longer one is read as a float, as all that are too large


def loads(data: bytes) -> Any:
    """Return the parsed value. Raises ValueError where the bytes are not JSON.

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


def parse(data: bytes) -> Any:
    """Parse JSON from a provider. Raises MalformedAnswerError where `loads` cannot read it."""
    try:
        return loads(data)
    except ValueError as error:
        raise MalformedAnswerError(f"the provider's answer is not JSON: {error}") from None


def parse_object(data: bytes) -> Json:
    """Return a JSON object. Raises MalformedAnswerError for anything else."""
    parsed = parse(data)
    if not isinstance(parsed, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    return parsed


def text_field(payload: Json, name: str) -> str | None:
    """Return a string field, or None where it is absent or empty."""
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def as_object(value: Any) -> Json:
    """Return `value` if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[Json]:
    """Return the objects in a list. A single object counts as a list of one."""
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return `value` if it is a string, otherwise an empty one."""
    return value if isinstance(value, str) else ""


def read_arguments(kind: str, holder: Json) -> Any:
    """Return the arguments of a call, see `read_call`.

    Where a wire has no custom tools, such a tool is a function with the argument `input`.
    """
    return holder.get("arguments") if kind == "function" else {"input": holder.get("input") or ""}


def read_call(entry: Any) -> tuple[str, Json]:
    """Return a tool call's kind, and the object with its name and arguments."""
    if not isinstance(entry, dict):
        return "function", {}
    custom, function = as_object(entry.get("custom")), as_object(entry.get("function"))
    # Some vendors fill every member of OpenAI's union: only a member with values counts.
    if any(custom.values()) and any(function.values()):
        is_custom = entry.get("type") == "custom"
    else:
        is_custom = any(custom.values()) or (
            entry.get("type") == "custom" and "custom" in entry and not any(function.values())
        )
    if is_custom:
        return "custom", custom
    return "function", function if isinstance(entry.get("function"), dict) else entry
