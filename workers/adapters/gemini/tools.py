"""Translation of tools, the tool choice, and JSON Schema into the part that Gemini accepts."""

import json
from typing import Any

from broker.completion import Json
from workers.adapters.gemini.models import GeminiModel
from workers.adapters.json_shapes import read_call

_KEPT = frozenset({
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
    "required", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "default",
    "minimum", "maximum", "propertyOrdering",
})  # fmt: skip
_STRING_FORMATS = ("enum", "date-time")
_DEPTH = 16  # of references to references
_MOST_NODES = 2000
"""Nodes of a schema with its references resolved, which bounds a schema that contains itself."""


def without_dialect(schema: Json) -> Json:
    """Return the schema for models that accept JSON Schema."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def openapi_schema(schema: Json) -> Json:
    """Return the schema in OpenAPI's dialect."""
    return _Translator(schema).translate(schema, ())


class _Translator:
    """Translator of one schema. `path` has the references that led to a node."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._left = _MOST_NODES

    def translate(self, given: Any, path: tuple[str, ...]) -> Json:
        self._left -= 1
        reference = given.get("$ref") if isinstance(given, dict) else None
        if reference in path or self._left < 0:
            return {"type": "object"}
        if not isinstance(given, dict):
            return {}
        path = (*path, reference) if isinstance(reference, str) else path
        node = _merge_all_of(_resolve_reference(given, self._root), self._root, _DEPTH)
        read = {name: value for name, value in node.items() if name in _KEPT}
        _set_type(read, node)
        if isinstance(properties := node.get("properties"), dict) and properties:
            inner = properties.items()
            read["properties"] = {name: self.translate(value, path) for name, value in inner}
        if isinstance(items := node.get("items"), dict):
            read["items"] = self.translate(items, path)
        elif read.get("type") == "array":
            entries = _entries(node, "prefixItems")
            read["items"] = self.translate(entries[0] if entries else {}, path)
        self._set_alternatives(read, node, path)
        return read

    def _set_alternatives(self, read: Json, node: Json, path: tuple[str, ...]) -> None:
        given = _entries(node, "anyOf") or _entries(node, "oneOf")
        kept = [entry for entry in given if entry != {"type": "null"}]
        alternatives = [self.translate(entry, path) for entry in kept]
        nullable = {"nullable": True} if len(kept) < len(given) else {}
        if len(alternatives) == 1:
            read.update({**alternatives[0], **read, **nullable})
        elif alternatives:
            read.update({"anyOf": alternatives, **nullable})


def _resolve_reference(node: Json, root: Json) -> Json:
    for _ in range(_DEPTH):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            break
        target: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step) if isinstance(target, dict) and step else target
        beside = {name: value for name, value in node.items() if name != "$ref"}
        node = {**(target if isinstance(target, dict) else {}), **beside}
    return {name: value for name, value in node.items() if name != "$ref"}


def _entries(node: Json, name: str) -> list[Any]:
    entries = node.get(name)
    return entries if isinstance(entries, list) else []


def _merge_all_of(node: Json, root: Json, depth: int) -> Json:
    """Return the node merged with the parts of its `allOf`."""
    for entry in _entries(node, "allOf") if depth else ():
        if isinstance(entry, dict):
            part = _merge_all_of(_resolve_reference(entry, root), root, depth // 2)
            properties = {**_properties(node), **_properties(part)}
            required = [*_entries(node, "required"), *_entries(part, "required")]
            node = {**part, **node}
            node |= {"properties": properties} if properties else {}
            node |= {"required": required} if required else {}
    return node


def _properties(node: Json) -> Json:
    properties = node.get("properties")
    return properties if isinstance(properties, dict) else {}


def _set_values(read: Json, node: Json) -> None:
    """Enumerate the values that `enum` or `const` allow.

    Gemini enumerates only strings that are not empty. Values of another type keep their type and
    are listed in the description, because as strings they would come back as strings.
    """
    given = [node["const"]] if "const" in node else read.pop("enum", None)
    if not isinstance(given, list):
        return
    values = [value for value in given if value is not None]
    if len(values) < len(given):
        read["nullable"] = True
    kinds = {_kind(value) for value in values}
    if kinds <= {"integer", "number"} and kinds:
        kinds = {"number"} if "number" in kinds else {"integer"}
    if len(kinds) == 1:
        read["type"] = kinds.pop()
    if read.get("type") == "string" and all(isinstance(value, str) for value in values):
        if named := [value for value in values if value]:
            read["enum"] = named
    elif values:
        note = f"Allowed values: {json.dumps(values, ensure_ascii=False)}."
        read["description"] = f"{read.get('description') or ''} {note}".strip()


def _kind(value: Any) -> str:
    """Return the JSON Schema type of a value."""
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "integer", float: "number", list: "array"}
    return names.get(type(value), "object")


def _set_type(read: Json, node: Json) -> None:
    kind = node.get("type")
    if isinstance(kind, list):
        kinds = [entry for entry in kind if entry != "null"]
        read["type"] = kinds[0] if kinds else "string"
        if len(kinds) < len(kind):
            read["nullable"] = True
    _set_values(read, node)
    if read.get("type") == "string" and read.get("format", "enum") not in _STRING_FORMATS:
        del read["format"]
    named = node.get("properties")
    if isinstance(read.get("required"), list) and isinstance(named, dict):
        read["required"] = [n for n in read["required"] if isinstance(n, str) and n in named]
    if not read.get("required", True):
        del read["required"]


_MODES = {"none": "NONE", "required": "ANY"}


def read_tools(body: Json, model: GeminiModel) -> list[Json]:
    """Return the tools of a chat body. Google's own (`{"googleSearch": {}}`) are unchanged."""
    given = _objects(body.get("tools"))
    declared = [_declaration(function, model) for tool in given if (function := _function(tool))]
    own = [tool for tool in given if tool and "type" not in tool]
    return [*([{"functionDeclarations": declared}] if declared else []), *own]


def read_choice(body: Json, model: GeminiModel) -> Json | None:
    """Return the `functionCallingConfig`, or None for the wire's default."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return _object_choice(choice)
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]}
    functions = [_function(tool) or {} for tool in _objects(body.get("tools"))]
    strict = bool(functions) and all(function.get("strict") is True for function in functions)
    return {"mode": "VALIDATED"} if strict and model.takes_json_schema else None


def _object_choice(choice: Json) -> Json | None:
    if choice.get("type") == "allowed_tools":
        # Nested in chat completions, not in the Responses API; callers use both.
        nested = choice.get("allowed_tools")
        allowed = nested if isinstance(nested, dict) else choice
        names = [read_call(tool)[1].get("name") for tool in _objects(allowed.get("tools"))]
        mode = "ANY" if allowed.get("mode") == "required" else "VALIDATED"
        return {"mode": mode, "allowedFunctionNames": names}
    function = choice.get("function") or choice.get("custom")
    if isinstance(function, dict) and function.get("name"):
        return {"mode": "ANY", "allowedFunctionNames": [function["name"]]}
    return None


def _objects(entries: Any) -> list[Json]:
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict)]


def _function(tool: Json) -> Json | None:
    if isinstance(custom := tool.get("custom"), dict) and custom.get("name"):
        text = {"type": "object", "properties": {"input": {"type": "string"}}}
        return {**custom, "parameters": {**text, "required": ["input"]}}
    function = tool.get("function")
    return function if isinstance(function, dict) and function.get("name") else None


def _declaration(function: Json, model: GeminiModel) -> Json:
    declared: Json = {"name": function["name"]}
    if description := function.get("description"):
        declared["description"] = description
    schema = function.get("parameters")
    # An object without properties is refused: a function without parameters has no schema.
    if isinstance(schema, dict) and any(schema.get(n) for n in ("properties", "$ref", "anyOf")):
        if model.takes_json_schema:
            declared["parametersJsonSchema"] = without_dialect(schema)
        else:
            declared["parameters"] = openapi_schema(schema)
    return declared
