"""Tools and tool choices of the Responses API as those of a chat body."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from broker.completion import Json
from broker.dialects.responses.tool_names import OfferedTool, ToolNames
from broker.errors import InvalidRequestError

WEB_SEARCH = ("web_search",)
"""The prefix of hosted tools that are left out: coding agents offer them in every request."""

_UNCLEAR = ("defer_loading", "async")
"""Flags that change when a tool is called, and that no chat body has."""


def translate_tools(
    offered: Sequence[OfferedTool], names: ToolNames, warnings: list[str]
) -> list[Json]:
    """Return the tools in chat's nested form. Raises InvalidRequestError for hosted tools."""
    translated = []
    for each in offered:
        if each.kind.startswith(WEB_SEARCH):
            warnings.append(f"{each.field}: the hosted tool {each.kind!r} is left out")
        else:
            _check(each)
            name = names.to_chat(each.name, each.namespace)
            translated.append(_translate_tool(each.tool | {"name": name}))
    _refuse_repeated(translated)
    return translated


def _refuse_repeated(tools: Sequence[Json]) -> None:
    """Raise InvalidRequestError for two tools with one name in a chat body."""
    names = Counter(tool[tool["type"]]["name"] for tool in tools)
    name, count = max(names.items(), key=lambda item: item[1], default=("", 1))
    if count > 1:
        raise InvalidRequestError(
            f"tools: {count} tools have the name {name[:64]!r}; each needs a name of its own.",
            param="tools",
        )


def _check(offered: OfferedTool) -> None:
    tool, kind, field = offered.tool, offered.kind, offered.field
    if kind not in ("function", "custom") and not offered.is_search:
        raise InvalidRequestError(
            f"{field}.type: {kind[:64]!r} runs on OpenAI's servers or has no form in other APIs. "
            "Give the model a tool of type `function` or `custom`, and run it yourself.",
            param=f"{field}.type",
        )
    if not offered.name:
        raise InvalidRequestError(f"{field}.name: is needed", param=f"{field}.name")
    for flag in _UNCLEAR:
        if tool.get(flag):
            raise InvalidRequestError(
                f"{field}.{flag}: only OpenAI's servers can do this; leave it out.",
                param=f"{field}.{flag}",
            )


def _translate_tool(tool: Json) -> Json:
    if tool["type"] == "custom":
        return {"type": "custom", "custom": _translate_custom(tool)}
    names = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in names if tool.get(name) is not None}
    rest = {"cache_control": mark} if (mark := tool.get("cache_control")) else {}
    return {"type": "function", "function": function, **rest}


def _translate_custom(tool: Json) -> Json:
    custom = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
    form = tool.get("format")
    if isinstance(form, dict) and form.get("type") == "grammar":
        grammar = {name: value for name, value in form.items() if name != "type"}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    elif form is not None:
        custom["format"] = form
    return custom


def translate_choice(choice: Any, tools: Sequence[Json], names: ToolNames) -> Any:
    """Return a tool choice in chat's form. Raises InvalidRequestError for a hosted tool.

    `tools` are the translated tools: without any, a chat body has no choice.
    """
    if not isinstance(choice, dict):
        return choice if tools else None
    kind: str = choice["type"]
    if kind in ("function", "custom"):
        name = names.to_chat(_read_name(choice), choice.get("namespace"))
        return {"type": kind, kind: {"name": name}}
    if kind == "allowed_tools":
        allowed = [
            {
                "type": each["type"],
                each["type"]: {"name": names.to_chat(each["name"], each.get("namespace"))},
            }
            for each in choice.get("tools") or ()
            if each.get("name")  # hosted tools have none
        ]
        return {"type": kind, kind: {"mode": choice.get("mode") or "auto", "tools": allowed}}
    raise InvalidRequestError(
        f"tool_choice.type: {kind[:64]!r} is none of 'function', 'custom', 'allowed_tools'",
        param="tool_choice.type",
    )


def _read_name(choice: Json) -> str:
    name: str | None = choice.get("name")
    if not name:
        raise InvalidRequestError("tool_choice.name: is needed", param="tool_choice.name")
    return name
