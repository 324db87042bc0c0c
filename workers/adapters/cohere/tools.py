"""Tools in a Cohere v2 chat request (https://docs.cohere.com/docs/tool-use-overview)."""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import an_object, objects, text_of

_NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def tool_fields(asked: Json) -> Json:
    """Return `tools`, `tool_choice` and `strict_tools` as far as the request asks for them."""
    given = asked.get("tools")
    functions = [function for tool in objects(given) if (function := _function(tool))]
    choice, only = _choice(asked.get("tool_choice"))
    if only is not None:
        # Cohere can be forced to call a tool but not which: so it is offered no other.
        functions = [one for one in functions if one["name"] in only] or functions
    if not functions:
        return {}
    fields: Json = {"tools": [{"type": "function", "function": _own(one)} for one in functions]}
    if choice:
        fields["tool_choice"] = choice
    if all(_can_be_strict(one) for one in functions):
        fields["strict_tools"] = True
    return fields


def _function(tool: Json) -> Json | None:
    function = an_object(tool.get("function"))
    return function if text_of(function.get("name")) else None


def _own(function: Json) -> Json:
    own: Json = {"name": function["name"]}
    if function.get("description"):
        own["description"] = function["description"]
    return own | {"parameters": function.get("parameters") or _NO_PARAMETERS}


def _choice(given: Any) -> tuple[str | None, set[str] | None]:
    """Return Cohere's word for a tool choice, and the names it is limited to."""
    if given in ("required", "any"):
        return "REQUIRED", None
    if given == "none":
        return "NONE", None
    if function := _function(an_object(given)):
        return "REQUIRED", {function["name"]}
    allowed = an_object(an_object(given).get("allowed_tools"))
    names = {one["name"] for tool in objects(allowed.get("tools")) if (one := _function(tool))}
    return ("REQUIRED" if allowed.get("mode") == "required" else None), names or None


def _can_be_strict(function: Json) -> bool:
    """Whether strictness is asked for and possible: Cohere wants a required parameter then."""
    return bool(function.get("strict") and an_object(function.get("parameters")).get("required"))
