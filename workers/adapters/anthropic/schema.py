"""JSON schemas in the part of JSON Schema that Anthropic compiles into a grammar.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations":
objects are closed, nothing is recursive, and numbers, strings and arrays carry no bounds.
"""

from typing import Any

from broker.completion import Json

_BOUNDS = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties",
    "propertyNames", "contains", "minContains", "maxContains",
})  # fmt: skip
_NAMED = ("properties", "$defs", "definitions")


def expressible(schema: Any) -> bool:
    """Tell whether the schema means something Anthropic can compile: closed and not recursive."""
    if not isinstance(schema, dict):
        return False
    return not _is_open(schema) and not _recurses(schema, schema, {})


def closed(schema: Any) -> Any:
    """Return the schema with its objects closed and its bounds told in words instead."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _closed_entry(name, value) for name, value in schema.items() if _allowed(name)}
    if "properties" in kept or "object" in _types(kept):
        kept["additionalProperties"] = False
    if isinstance(least := schema.get("minItems"), int) and least > 1:
        del kept["minItems"]  # 0 and 1 are understood
    lost = {name: value for name, value in schema.items() if name not in kept}
    lost.pop("$schema", None)
    if lost:
        told = ", ".join(f"{name}: {value}" for name, value in lost.items())
        kept["description"] = f"{schema.get('description') or ''} {{{told}}}".strip()
    return kept


def _allowed(name: str) -> bool:
    return name not in _BOUNDS and name != "$schema"


def _closed_entry(name: str, value: Any) -> Any:
    if name in _NAMED and isinstance(value, dict):
        return {key: closed(entry) for key, entry in value.items()}
    return value if name in ("enum", "const", "default", "examples", "required") else closed(value)


def _types(schema: Json) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]


def _is_open(schema: Any) -> bool:
    """Whether an object somewhere may have properties that are not named."""
    if isinstance(schema, list):
        return any(_is_open(entry) for entry in schema)
    if not isinstance(schema, dict):
        return False
    rest = schema.get("additionalProperties")
    if rest not in (None, False):
        return True
    if "object" in _types(schema) and not schema.get("properties") and rest is None:
        return True
    return any(_is_open(value) for name, value in schema.items() if name not in ("enum", "default"))


def _recurses(node: Any, root: Json, followed: dict[str, bool]) -> bool:
    """Whether following references from `node` comes back to one on the way.

    `followed` knows the references seen so far and whether they are still on the way.
    """
    if isinstance(node, list):
        return any(_recurses(entry, root, followed) for entry in node)
    if not isinstance(node, dict):
        return False
    reference = node.get("$ref")
    if reference == "#" or (isinstance(reference, str) and followed.get(reference)):
        return True
    if isinstance(reference, str) and reference not in followed:
        followed[reference] = True
        if _recurses(_resolve(reference, root), root, followed):
            return True
        followed[reference] = False
    inner = (value for name, value in node.items() if name not in ("$defs", "definitions"))
    return any(_recurses(value, root, followed) for value in inner)


def _resolve(reference: str, root: Json) -> Any:
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node.get(step) if isinstance(node, dict) else None
    return node
