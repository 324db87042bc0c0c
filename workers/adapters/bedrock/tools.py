"""Tools in a Converse request: `toolConfig` (API_runtime_ToolConfiguration)."""

from typing import Any

from broker.completion import Json
from workers.adapters.bedrock.cache_points import cache_point
from workers.adapters.json_shapes import an_object, objects, text_of

_ANYTHING: Json = {"type": "object", "properties": {}}


def tool_config(asked: Json, messages: list[Json]) -> Json | None:
    """Return the tools and which of them may or must be called.

    Converse refuses messages with tool calls or results where no tools are configured, so a
    conversation that has some is given the tools it mentions. It has no "none": then tools are
    left out where that is allowed, and merely not urged where it is not.
    """
    mentioned = _mentioned(messages)
    given = asked.get("tools")
    tools = [one for tool in objects(given) for one in _tool(tool)]
    choice = asked.get("tool_choice")
    if choice == "none" and not mentioned:
        return None
    if not tools:
        tools = [_spec({"name": name}) for name in mentioned]
        choice = None
    if not tools:
        return None
    config: Json = {"tools": tools}
    if translated := _choice(choice):
        config["toolChoice"] = translated
    return config


def _tool(tool: Json) -> list[Json]:
    if "systemTool" in tool or "toolSpec" in tool or "cachePoint" in tool:
        return [tool]  # Converse's own, e.g. Nova's grounding
    function = an_object(tool.get("function"))
    if not text_of(function.get("name")):
        return []
    marker = cache_point(tool) or cache_point(function)
    return [_spec(function), *([marker] if marker else [])]


def _spec(function: Json) -> Json:
    spec: Json = {"name": function["name"]}
    if function.get("description"):
        spec["description"] = function["description"]  # an empty one is refused
    schema = an_object(function.get("parameters")) or _ANYTHING
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    if function.get("strict"):
        spec["strict"] = True
    return {"toolSpec": spec}


def _choice(given: Any) -> Json | None:
    if given == "auto":
        return {"auto": {}}
    if given in ("required", "any"):
        return {"any": {}}
    if name := an_object(an_object(given).get("function")).get("name"):
        return {"tool": {"name": name}}
    required = an_object(an_object(given).get("allowed_tools")).get("mode") == "required"
    return {"any": {}} if required else None


def _mentioned(messages: list[Json]) -> list[str]:
    """Return the names of the tools that were called in the conversation."""
    blocks = [block for message in messages for block in message["content"]]
    return list(dict.fromkeys(b["toolUse"]["name"] for b in blocks if "toolUse" in b))
