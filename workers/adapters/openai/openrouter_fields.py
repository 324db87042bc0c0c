"""OpenRouter's additions to OpenAI's chat body, at vendors that do not know them.

Source: openrouter.ai/docs/api/api-reference/chat. Strict vendors answer an unknown field with 400.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.openai.quirks import Quirk
from workers.adapters.refusals import refuse_rare_formats, stop_words

_SERVER_TOOLS = ("max_tool_calls", "stop_server_tools_when", "deferred_tools")
"""They bound OpenRouter's server tools; without one of those they bound nothing."""

_HINTS = ("image_config", "prompt_cache_options")
"""They tune what a vendor has in another form or not at all."""

_FOUR = 4
_DEFERRED = "defer_loading"
_TIERS = {"fast": "priority", "ultrafast": None}
"""OpenRouter's own service tiers: another name of OpenAI's, or one that no vendor has."""


def fit_fields(body: Json, quirks: frozenset[str]) -> None:
    """Take out of a body, in place, what the vendor does not know. Raises where it is essential."""
    if Quirk.OPENROUTER_FIELDS not in quirks:
        _drop(body)
        if Quirk.GRAMMAR not in quirks:
            refuse_rare_formats(body)
    if Quirk.FOUR_STOPS in quirks:
        stop_words(body, _FOUR)


def _drop(body: Json) -> None:
    """Drop what only OpenRouter knows; translate what has another name."""
    for name in (*_SERVER_TOOLS, *_HINTS):
        body.pop(name, None)
    tier = body.get("service_tier")
    if isinstance(tier, str) and tier in _TIERS:
        _set(body, "service_tier", _TIERS[tier])
    if body.get("modalities") == ["text"]:
        del body["modalities"]  # it says nothing, and few vendors know the field
    if body.get("store") is not True:
        body.pop("metadata", None)  # Waybill keeps it; OpenAI refuses it without `store`
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = [_undeferred(tool) for tool in tools]


def _set(body: Json, name: str, value: Any) -> None:
    if value is None:
        del body[name]
    else:
        body[name] = value


def _undeferred(tool: Any) -> Any:
    """Return a tool without OpenRouter's flag, on itself and on its function."""
    if not isinstance(tool, dict):
        return tool
    told = {name: value for name, value in tool.items() if name != _DEFERRED}
    if isinstance(function := told.get("function"), dict) and _DEFERRED in function:
        told["function"] = {name: v for name, v in function.items() if name != _DEFERRED}
    return told
