"""A call of the Messages API, understood."""

from typing import Any, Final

from workers.simulator.anthropic_blocks import (
    attachments_of,
    blocks_of,
    text_of,
    weight,
    whole_prompt,
)
from workers.simulator.anthropic_prompt_cache import PromptCache
from workers.simulator.requests import Json, Request, Tool

THINKING: Final = ("enabled", "adaptive")


def understand(call: Json, cache: PromptCache) -> Request:
    last = _last_said(call["messages"])
    choice = call.get("tool_choice") or {}
    cached, caching = cache.look(call)
    return Request(
        model=call["model"],
        stream=bool(call.get("stream")),
        text=text_of(last),
        tokens=sum(map(weight, whole_prompt(call))),
        attachments=attachments_of(last),
        tools=_tools(call, choice),
        forced_tool=_forced_tool(choice),
        tool_results=_tool_results(call["messages"][-1]),
        format=_format(call),
        max_tokens=call["max_tokens"],
        thoughts=(call.get("thinking") or {}).get("type") in THINKING,
        cached=cached,
        caching=caching,
    )


def _last_said(messages: list[Json]) -> list[Json]:
    """Return the blocks of the last user message that has more than tool results."""
    for message in reversed(messages):
        said = [each for each in blocks_of(message["content"]) if each["type"] != "tool_result"]
        if message["role"] == "user" and said:
            return said
    return []


def _tools(call: Json, choice: Json) -> tuple[Tool, ...]:
    if choice.get("type") == "none":
        return ()
    tools = tuple(
        Tool(tool["name"], {"type": "object", **tool["input_schema"]})
        for tool in call.get("tools") or ()
        if "input_schema" in tool  # the others are the provider's own
    )
    if choice.get("disable_parallel_tool_use") and choice["type"] != "tool":
        return tools[:1]
    return tools


def _forced_tool(choice: Json) -> str | None:
    match choice.get("type"):
        case "tool":
            return str(choice["name"])
        case "any":
            return ""
    return None


def _tool_results(last: Json) -> tuple[str, ...]:
    return tuple(
        text_of(blocks_of(block.get("content")))
        for block in blocks_of(last["content"])
        if block["type"] == "tool_result"
    )


def _format(call: Json) -> Any:
    """Return the schema asked for: `output_config.format`, in the beta `output_format`."""
    asked = (call.get("output_config") or {}).get("format") or call.get("output_format")
    return asked["schema"] if asked else "text"
