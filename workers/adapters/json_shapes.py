"""Takes JSON for the shape its provider promises, and for nothing where it has another."""

from typing import Any

from broker.completion import Json
from workers.adapters import lenient_json
from workers.adapters.base import MalformedAnswerError


def parse(data: bytes) -> Any:
    """Parse JSON from a provider, repaired where it is not strict (see `lenient_json`)."""
    try:
        return lenient_json.loads(data)
    except ValueError as error:
        raise MalformedAnswerError(f"the provider's answer is not JSON: {error}") from None


def parse_object(data: bytes) -> Json:
    """Return a JSON object. Raises MalformedAnswerError for anything else."""
    parsed = parse(data)
    if not isinstance(parsed, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    return parsed


def word(payload: Json, name: str) -> str | None:
    """Return a text field, None where it is absent or empty."""
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def an_object(value: Any) -> Json:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Json]:
    """Return the objects in a list, or the single one that stands in a list's place."""
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """Return a string, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def held(entry: Any) -> tuple[str, Json]:
    """Return a call's kind and the object that holds its name and arguments."""
    if not isinstance(entry, dict):
        return "function", {}
    custom, function = an_object(entry.get("custom")), an_object(entry.get("function"))
    # Some vendors fill every member of OpenAI's union: only what says something counts.
    if any(custom.values()) and any(function.values()):
        is_custom = entry.get("type") == "custom"
    else:
        is_custom = any(custom.values()) or (
            entry.get("type") == "custom" and "custom" in entry and not any(function.values())
        )
    if is_custom:
        return "custom", custom
    return "function", function if isinstance(entry.get("function"), dict) else entry
