"""Plausible values for a JSON schema, for tool arguments and structured answers."""

from collections.abc import Callable, Mapping
from math import ceil, inf
from typing import Any, Final

from workers.simulator.wire import invalid

Schema = Mapping[str, Any]

DEEPEST: Final = 8  # a schema may refer to itself; deeper values have only required fields
LONGEST: Final = 50  # items of an array, at most
PLACES: Final = frozenset({"city", "location", "place", "country", "town", "destination"})
SAYINGS: Final = {
    "name": "Ada",
    "unit": "celsius",
    "language": "en",
    "date": "2030-01-02",
    "email": "ada@example.com",
    "url": "https://example.com/",
}
FORMATS: Final = {
    "date": "2030-01-02",
    "date-time": "2030-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}


def specimen(schema: Schema, prompt: str) -> Any:
    """Return a value that fits `schema`, with words of the prompt. Patterns are ignored.

    Raises RefusedError where the schema is none.
    """
    try:
        return _value(schema, "", _Source(schema, prompt), 0)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise invalid("Invalid schema") from error


class _Source:
    def __init__(self, root: Schema, prompt: str) -> None:
        self.root = root
        self.prompt = prompt

    def resolve(self, reference: str) -> Schema:
        """Resolve a reference inside the document. Another reference fits anything."""
        node: Any = self.root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                node = node.get(part.replace("~1", "/").replace("~0", "~"), {})
        return node if isinstance(node, Mapping) else {}

    def place(self) -> str:
        """Return the last capitalised word of the prompt that does not begin it."""
        words = [word.strip("?!.,;:'\"") for word in self.prompt.split()[1:]]
        names = [word for word in words if word[:1].isupper() and len(word) > 1]
        return names[-1] if names else "Oslo"


def _value(schema: Any, name: str, source: _Source, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > 2 * DEEPEST:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    if "$ref" in schema:
        return _value(source.resolve(schema["$ref"]), name, source, depth + 1)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return _value(_branch(branches, depth), name, source, depth + 1)
    if parts := schema.get("allOf"):
        return _value(_merge(schema, parts, source), name, source, depth + 1)
    return MAKERS[_type(schema)](schema, name, source, depth)


def _type(schema: Schema) -> str:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    return kinds if kinds in MAKERS else "string"


def _branch(branches: list[Any], depth: int) -> Any:
    """Return the first branch that is not null, or null in great depth to end a recursion."""
    nulls = [branch for branch in branches if branch.get("type") == "null"]
    values = [branch for branch in branches if branch.get("type") != "null"]
    return (nulls + values if depth > DEEPEST else values + nulls)[0]


def _merge(schema: Schema, parts: list[Any], source: _Source) -> Schema:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        whole = source.resolve(part["$ref"]) if "$ref" in part else part
        properties = {**merged.get("properties", {}), **whole.get("properties", {})}
        merged = {**merged, **whole} | ({"properties": properties} if properties else {})
    return merged


def _object(schema: Schema, _name: str, source: _Source, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: _value(inner, name, source, depth + 1)
        for name, inner in schema.get("properties", {}).items()
        if name in required or depth < DEEPEST
    }


def _array(schema: Schema, name: str, source: _Source, depth: int) -> list[Any]:
    least = min(schema.get("minItems", 1 if depth < DEEPEST else 0), LONGEST)
    return [_value(schema.get("items", {}), name, source, depth + 1) for _ in range(least)]


def _string(schema: Schema, name: str, source: _Source, _depth: int) -> str:
    lowered = name.lower()
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    text = source.place() if lowered in PLACES else SAYINGS.get(lowered, source.prompt)
    text = text or "something"
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: Schema, _name: str, _source: _Source, _depth: int) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", inf))
    value: float = 3
    if value <= low:
        value = min(low + 1, (low + high) / 2)
    if value >= high:
        value = max(high - 1, (low + high) / 2)
    if step := schema.get("multipleOf"):
        value = ceil(value / step) * step
    return ceil(value) if _type(schema) == "integer" else value


MAKERS: Final[dict[str, Callable[[Schema, str, _Source, int], Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: True,
    "null": lambda *_: None,
}
