"""Tools and the choice between them.

Sources: platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use and
…/strict-tool-use.
"""

import re
from typing import Any

from broker.completion import Json
from workers.adapters.anthropic.models import Model
from workers.adapters.anthropic.schema import closed, expressible
from workers.adapters.json_shapes import held

_OWN_TOOL = re.compile(r".+_20\d{6}")
_KEPT = ("cache_control", "defer_loading")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def read_tools(body: Json, model: Model) -> list[Json]:
    """Return the tools a chat body offers; Anthropic's own dated ones pass as they are."""
    choice, tools = body.get("tool_choice"), body.get("tools")
    allowed = _allowed_names(choice)
    read = [_tool(tool, model) for tool in tools] if isinstance(tools, list) else []
    return [tool for tool in read if tool and (allowed is None or tool["name"] in allowed)]


def read_choice(body: Json) -> Json | None:
    """Return the `tool_choice` to send, or None where the wire's default says the same."""
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


def forces(choice: Json | None) -> bool:
    """Whether a tool must be called, which excludes thinking and prefills."""
    return choice is not None and choice["type"] in ("any", "tool")


def _object_choice(choice: Json) -> Json | None:
    if choice.get("type") == "allowed_tools":
        required = _allowed_tools(choice).get("mode") == "required"
        return {"type": "any"} if required else {"type": "auto"}
    for kind in ("function", "custom"):
        if isinstance(named := choice.get(kind), dict) and named.get("name"):
            return {"type": "tool", "name": named["name"]}
    return None


def _allowed_tools(choice: Json) -> Json:
    """OpenAI nests what is allowed; its Responses API does not, and callers mix them up."""
    nested = choice.get("allowed_tools")
    return nested if isinstance(nested, dict) else choice


def _allowed_names(choice: Any) -> list[Any] | None:
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    tools = _allowed_tools(choice).get("tools")
    given = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [held(tool)[1].get("name") for tool in given]


def _tool(tool: Any, model: Model) -> Json | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    if isinstance(function, dict) and function.get("name"):
        return _function(tool, function, model)
    if isinstance(custom := tool.get("custom"), dict) and custom.get("name"):
        schema = {"type": "object", "properties": {"input": {"type": "string"}}}
        return _described(custom) | {"input_schema": schema | {"required": ["input"]}}
    own = isinstance(tool.get("type"), str) and _OWN_TOOL.fullmatch(tool["type"])
    return tool if own and tool.get("name") else None


def _function(tool: Json, function: Json, model: Model) -> Json:
    schema = function.get("parameters")
    schema = schema if isinstance(schema, dict) else {}
    if schema.get("type") != "object":
        schema = {"properties": {}, **schema, "type": "object"}
    read = _described(function)
    if function.get("strict") is True and model.takes_schema and expressible(schema):
        read |= {"strict": True, "input_schema": closed(schema)}
    else:
        read["input_schema"] = schema
    for name in _KEPT:
        if value := tool.get(name) or function.get(name):
            read[name] = value
    return read


def _described(holder: Json) -> Json:
    description = holder.get("description")
    return {"name": holder["name"], **({"description": description} if description else {})}
