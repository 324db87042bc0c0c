"""Translation of a Messages request to a chat body. What chat cannot express is native content."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.completion import Json
from broker.dialects.base import TranslatedRequest
from broker.dialects.messages import WIRE
from broker.dialects.messages.conversation import translate_messages, translate_system
from broker.dialects.messages.schemas import MessagesBody, PromptBody
from broker.errors import InvalidRequestError
from broker.requests.bodies import validated

_KEPT = (
    *("model", "models", "max_tokens", "temperature", "top_p", "top_k", "stream", "cache_control"),
    *("preset", "provider", "plugins", "route", "transforms", "session_id", "trace", "coalesce"),
    *("user", "store"),
)
"""Fields that have the same name and meaning in a chat body."""

_TRANSLATED = frozenset(
    {"messages", "system", "tools", "tool_choice", "stop_sequences", "metadata", "service_tier"}
) | {"fallbacks", "output_format"}
"""Fields that have another form in a chat body, which expresses all of them."""

_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_TIERS = {"auto": "auto", "standard_only": "default"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def translate_request(body: Json, betas: Sequence[str] = ()) -> TranslatedRequest:
    """Translate the body of POST /messages. `betas` are those of the header `anthropic-beta`.

    Raises InvalidRequestError that names the field.
    """
    validated(MessagesBody, body)
    if body.get("fallbacks") and body.get("models"):
        raise InvalidRequestError(
            "fallbacks: it cannot stand together with `models`; leave one out.", param="fallbacks"
        )
    return TranslatedRequest(_translate(body, betas))


def translate_prompt(body: Json, betas: Sequence[str] = ()) -> TranslatedRequest:
    """Translate the body of POST /messages/count_tokens.

    Raises InvalidRequestError that names the field.
    """
    validated(PromptBody, body)
    validated(
        MessagesBody, {"max_tokens": 1} | body
    )  # the other fields of a request, if it has any
    return TranslatedRequest(_translate(body, betas))


def _translate(body: Json, betas: Sequence[str]) -> Json:
    given = {name: value for name, value in body.items() if value is not None}
    chat: Json = {name: given[name] for name in _KEPT if name in given}
    chat["messages"] = [
        *translate_system(given.get("system")),
        *translate_messages(given["messages"]),
    ]
    if fallbacks := given.get("fallbacks"):
        chat["models"] = [each["model"] for each in fallbacks]
    if tools := given.get("tools"):
        chat["tools"] = [_translate_tool(tool, row) for row, tool in enumerate(tools)]
    chat |= _translate_choice(given.get("tool_choice"))
    if stops := given.get("stop_sequences"):
        chat["stop"] = stops
    if tier := given.get("service_tier"):
        chat["service_tier"] = _TIERS[tier]
    chat |= _translate_metadata(given.get("metadata") or {})
    chat |= _translate_reasoning(given.get("thinking"), given.get("output_config") or {})
    chat |= _translate_format(given)
    chat["native"] = _collect_native(given, betas)
    return chat


def _collect_native(given: Json, betas: Sequence[str]) -> Json:
    fields = {
        name: value
        for name, value in given.items()
        if name not in _KEPT and name not in _TRANSLATED
    }
    if format_ := given.get("output_format"):
        fields["output_config"] = {"format": format_, **(given.get("output_config") or {})}
    native: Json = {"wire": WIRE, "fields": fields}
    return native | ({"betas": list(betas)} if betas else {})


def _translate_tool(tool: Json, row: int) -> Json:
    if tool.get("type") not in (None, "custom"):
        return {"type": "native", "wire": WIRE, "tool": tool, "field": f"tools.{row}"}
    described = {"description": tool["description"]} if tool.get("description") else {}
    function = {"name": tool["name"], **described, "parameters": tool["input_schema"]}
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    fields = {
        name: value
        for name, value in tool.items()
        if name not in _TOOL_FIELDS and value is not None
    }
    mark = {"cache_control": tool["cache_control"]} if tool.get("cache_control") else {}
    native = {"wire": WIRE, "fields": fields}
    return {"type": "function", "function": function, **mark, "native": native}


def _translate_choice(choice: Mapping[str, Any] | None) -> Json:
    if choice is None:
        return {}
    kind = choice["type"]
    chosen: Json | str = (
        {"type": "function", "function": {"name": choice["name"]}}
        if kind == "tool"
        else _CHOICES[kind]
    )
    parallel = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    return {"tool_choice": chosen, **parallel}


def _translate_metadata(metadata: Json) -> Json:
    user = {"user": metadata["user_id"]} if metadata.get("user_id") else {}
    rest = {name: value for name, value in metadata.items() if name != "user_id"}
    return {**user, **({"metadata": rest} if rest else {})}


def _translate_reasoning(thinking: Json | None, output_config: Json) -> Json:
    """Return `reasoning`. An effort without thinking concerns the answer, and stays native."""
    if thinking is None:
        return {}
    kind = thinking["type"]
    if kind == "disabled":
        return {"reasoning": {"enabled": False}}
    if kind == "enabled":
        return {"reasoning": {"max_tokens": thinking["budget_tokens"]}}
    effort = output_config.get("effort")
    return {"reasoning": {"enabled": True, **({"effort": effort} if effort else {})}}


def _translate_format(given: Json) -> Json:
    format_ = (given.get("output_config") or {}).get("format") or given.get("output_format")
    if not format_:
        return {}
    schema = {"name": "response", "schema": format_["schema"], "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
