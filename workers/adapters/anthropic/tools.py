"""Translation of tools, the tool choice, and structured output with its schema."""

import re
from typing import Any

from broker.completion import Json
from broker.requests.native import is_native, read_fields, read_native
from workers.adapters.anthropic.messages import WIRE
from workers.adapters.anthropic.models import AnthropicQuirk, ClaudeModel
from workers.adapters.json_shapes import read_call

_BOUNDS = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties",
    "propertyNames", "contains", "minContains", "maxContains",
})  # fmt: skip
_NAMED = ("properties", "$defs", "definitions")


def is_expressible(schema: Any) -> bool:
    """Return whether Anthropic can compile the schema: it is closed and not recursive."""
    if not isinstance(schema, dict):
        return False
    return not _is_open(schema) and not _recurses(schema, schema, {})


def close_schema(schema: Any) -> Any:
    """Return the schema with closed objects. Unsupported bounds move into descriptions."""
    if isinstance(schema, list):
        return [close_schema(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _close_entry(name, value) for name, value in schema.items() if _is_allowed(name)}
    if "properties" in kept or "object" in _types(kept):
        kept["additionalProperties"] = False
    if isinstance(least := schema.get("minItems"), int) and least > 1:
        del kept["minItems"]  # 0 and 1 are supported
    lost = {name: value for name, value in schema.items() if name not in kept}
    lost.pop("$schema", None)
    if lost:
        notes = ", ".join(f"{name}: {value}" for name, value in lost.items())
        kept["description"] = f"{schema.get('description') or ''} {{{notes}}}".strip()
    return kept


def _is_allowed(name: str) -> bool:
    return name not in _BOUNDS and name != "$schema"


def _close_entry(name: str, value: Any) -> Any:
    if name in _NAMED and isinstance(value, dict):
        return {key: close_schema(entry) for key, entry in value.items()}
    return (
        value
        if name in ("enum", "const", "default", "examples", "required")
        else close_schema(value)
    )


def _types(schema: Json) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]


def _is_open(schema: Any) -> bool:
    """Return whether any object of the schema allows additional properties."""
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
    """Return whether the references from `node` form a circle.

    `followed` maps the references seen so far to whether they are on the current path.
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


_ANTHROPIC_TOOL = re.compile(r".+_20\d{6}")
_KEPT = ("cache_control", "defer_loading")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def read_tools(body: Json, model: ClaudeModel) -> list[Json]:
    """Return the tools of a chat body. Anthropic's own, with a date in the type, are unchanged."""
    choice, tools = body.get("tool_choice"), body.get("tools")
    allowed = _read_allowed_names(choice)
    read = [_tool(tool, model) for tool in tools] if isinstance(tools, list) else []
    return [tool for tool in read if tool and (allowed is None or tool.get("name") in allowed)]


def read_choice(body: Json) -> Json | None:
    """Return the `tool_choice` to send, or None for the wire's default."""
    choice = body.get("tool_choice")
    read: Json | None = None
    if isinstance(choice, str):
        read = {"type": _CHOICES[choice]} if choice in _CHOICES else None
    elif isinstance(choice, dict):
        read = _object_choice(choice)
    if body.get("parallel_tool_calls") is False:
        read = read or {"type": "auto"}
        if read["type"] != "none":
            read["disable_parallel_tool_use"] = True
    return read


def forces_tool(choice: Json | None) -> bool:
    """Return whether a tool must be called, which excludes thinking and prefills."""
    return choice is not None and choice["type"] in ("any", "tool")


def _object_choice(choice: Json) -> Json | None:
    if choice.get("type") == "allowed_tools":
        required = _read_allowed_tools(choice).get("mode") == "required"
        return {"type": "any"} if required else {"type": "auto"}
    for kind in ("function", "custom"):
        if isinstance(named := choice.get(kind), dict) and named.get("name"):
            return {"type": "tool", "name": named["name"]}
    return None


def _read_allowed_tools(choice: Json) -> Json:
    """Return the `allowed_tools` object, nested (chat completions) or not (Responses API)."""
    nested = choice.get("allowed_tools")
    return nested if isinstance(nested, dict) else choice


def _read_allowed_names(choice: Any) -> list[Any] | None:
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    tools = _read_allowed_tools(choice).get("tools")
    given = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [read_call(tool)[1].get("name") for tool in given]


def _tool(tool: Any, model: ClaudeModel) -> Json | None:
    if not isinstance(tool, dict):
        return None
    if is_native(tool):
        own: Json = tool["tool"]
        return own
    function = tool.get("function")
    if isinstance(function, dict) and function.get("name"):
        return _function(tool, function, model)
    if isinstance(custom := tool.get("custom"), dict) and custom.get("name"):
        schema = {"type": "object", "properties": {"input": {"type": "string"}}}
        return _describe(custom) | {"input_schema": schema | {"required": ["input"]}}
    dated = isinstance(tool.get("type"), str) and _ANTHROPIC_TOOL.fullmatch(tool["type"])
    return tool if dated and tool.get("name") else None


def _function(tool: Json, function: Json, model: ClaudeModel) -> Json:
    schema = function.get("parameters")
    schema = schema if isinstance(schema, dict) else {}
    if read_native(tool, WIRE):
        return _exact_function(tool, function, schema)
    if schema.get("type") != "object":
        schema = {"properties": {}, **schema, "type": "object"}
    read = _describe(function)
    if function.get("strict") is True and model.takes_schema and is_expressible(schema):
        read |= {"strict": True, "input_schema": close_schema(schema)}
    else:
        read["input_schema"] = schema
    for name in _KEPT:
        if value := tool.get(name) or function.get(name):
            read[name] = value
    return read


def _exact_function(tool: Json, function: Json, schema: Json) -> Json:
    """Return a function as a caller of this wire defined it."""
    strict = {"strict": function["strict"]} if "strict" in function else {}
    mark = {"cache_control": tool["cache_control"]} if tool.get("cache_control") else {}
    exact = {**_describe(function), "input_schema": schema, **strict, **mark}
    return exact | read_fields(tool, WIRE)


def _describe(holder: Json) -> Json:
    description = holder.get("description")
    return {"name": holder["name"], **({"description": description} if description else {})}


ANSWER_TOOL = "structured_response"
"""The forced tool whose input is the answer."""

_INSTRUCTION = "Respond with a single valid JSON object and nothing else: no prose, no code fence."


def read_schema(body: Json) -> Json | None:
    """Return the schema of the `response_format`, or None."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    held = wanted.get("json_schema")
    schema = held.get("schema") if isinstance(held, dict) else None
    return schema if isinstance(schema, dict) else None


def answers_by_tool(body: Json, tool: Any) -> bool:
    """Return whether `tool` is our forced tool, whose input is the answer."""
    return tool == ANSWER_TOOL and read_schema(body) is not None


def set_format(sent: Json, body: Json, model: ClaudeModel, quirks: frozenset[str]) -> None:
    """Set the response format in `sent`. Its tools and system blocks must be set."""
    schema = read_schema(body)
    if schema is None:
        wanted = body.get("response_format")
        if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
            sent["system"] = [*sent.get("system", ()), {"type": "text", "text": _INSTRUCTION}]
    elif (
        AnthropicQuirk.FORCED_TOOL_SCHEMA in quirks
        or not model.takes_schema
        or not is_expressible(schema)
    ):
        _force_tool(sent, body, schema)
    else:
        closed = {"type": "json_schema", "schema": close_schema(schema)}
        sent["output_config"] = {**sent.get("output_config", {}), "format": closed}


def _force_tool(sent: Json, body: Json, schema: Json) -> None:
    held = body["response_format"]["json_schema"]
    description = held.get("description") or "Give the final answer in the requested form."
    tool = {"name": ANSWER_TOOL, "description": description, "input_schema": schema}
    choice = sent.get("tool_choice")
    others = sent.get("tools", [])
    if forces_tool(choice):
        return  # the caller forces a tool of its own: this turn has no answer yet
    sent["tools"] = [*others, tool]
    if others and (choice is None or choice["type"] == "auto"):
        sent["tool_choice"] = {**(choice or {}), "type": "any"}
    else:
        sent["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
