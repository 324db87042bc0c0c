"""Translation of tools, the tool choice and web search."""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import as_object, as_objects, as_text, read_call
from workers.adapters.responses.models import needs_search

_SEARCHING = ("web_search", "file_search", "mcp")
_NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def build_tools(body: Json, model: str) -> list[Json]:
    """Return the tools of a chat body. The provider's own kinds are sent as they are."""
    tools = [_tool(tool) for tool in as_objects(body.get("tools"))]
    if (options := body.get("web_search_options")) is not None:
        tools.append(_web_search(as_object(options)))
    if "image" in _modalities(body):
        tools.append({"type": "image_generation"})
    kinds = [as_text(tool.get("type")) for tool in tools]
    if needs_search(model) and not any(kind.startswith(_SEARCHING) for kind in kinds):
        tools.append({"type": "web_search_preview"})
    return tools


def build_choice(choice: Any) -> Any:
    """Return a `tool_choice`: words are the same on both wires, objects are flat here."""
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        allowed = as_object(choice.get("allowed_tools")) or choice
        tools = [_flat_choice(tool) for tool in as_objects(allowed.get("tools"))]
        return {"type": "allowed_tools", "mode": allowed.get("mode") or "auto", "tools": tools}
    return _flat_choice(choice)


def _flat_choice(choice: Json) -> Json:
    if not ("function" in choice or "custom" in choice):
        return choice  # a tool of the provider, or flat already
    kind, holder = read_call(choice)
    return {"type": kind, "name": holder.get("name")}


def _tool(tool: Json) -> Json:
    kind, holder = read_call(tool)
    if kind == "custom":
        return _custom(holder)
    if "function" not in tool:
        return tool
    return {
        "type": "function",
        "name": holder.get("name"),
        **_described(holder),
        "parameters": holder.get("parameters") or _NO_PARAMETERS,
        "strict": holder.get("strict") is True,  # true here unless it is sent
    }


def _custom(holder: Json) -> Json:
    tool = {"type": "custom", "name": holder.get("name"), **_described(holder)}
    if form := as_object(holder.get("format")):
        # chat completions nest a grammar, this wire does not
        grammar = as_object(form.get("grammar"))
        tool["format"] = {"type": form.get("type"), **grammar} if grammar else form
    return tool


def _described(holder: Json) -> Json:
    description = holder.get("description")
    return {"description": description} if description else {}


def _web_search(options: Json) -> Json:
    tool: Json = {"type": "web_search"}
    if size := options.get("search_context_size"):
        tool["search_context_size"] = size
    if place := as_object(options.get("user_location")):
        tool["user_location"] = {"type": "approximate", **as_object(place.get("approximate"))}
    return tool


def _modalities(body: Json) -> list[Any]:
    given = body.get("modalities")
    return given if isinstance(given, list) else []
