"""Body of a Converse request, with its tools (API_runtime_ToolConfiguration)."""

from typing import Any

import orjson

from broker.completion import CompletionRequest, Json
from workers.adapters.base import refuse_rare_formats
from workers.adapters.bedrock.messages import BedrockConversation, cache_point
from workers.adapters.bedrock.models import apply_model_fields, inference_config
from workers.adapters.json_shapes import as_object, as_objects, as_text
from workers.adapters.tool_calls import with_tools

_ANYTHING: Json = {"type": "object", "properties": {}}


def tool_config(chat_body: Json, messages: list[Json]) -> Json | None:
    """Return the tools and the tool choice, or None.

    Converse refuses messages with tool calls or results where no tools are configured. So the
    tools that a conversation mentions are added. It has no choice "none": then tools are left out,
    unless the conversation mentions some.
    """
    mentioned = _read_called_names(messages)
    given = chat_body.get("tools")
    tools = [one for tool in as_objects(given) for one in _tool(tool)]
    choice = chat_body.get("tool_choice")
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
    function = as_object(tool.get("function"))
    if not as_text(function.get("name")):
        return []
    marker = cache_point(tool) or cache_point(function)
    return [_spec(function), *([marker] if marker else [])]


def _spec(function: Json) -> Json:
    spec: Json = {"name": function["name"]}
    if function.get("description"):
        spec["description"] = function["description"]  # an empty one is refused
    schema = as_object(function.get("parameters")) or _ANYTHING
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    if function.get("strict"):
        spec["strict"] = True
    return {"toolSpec": spec}


def _choice(given: Any) -> Json | None:
    if given == "auto":
        return {"auto": {}}
    if given in ("required", "any"):
        return {"any": {}}
    if name := as_object(as_object(given).get("function")).get("name"):
        return {"tool": {"name": name}}
    required = as_object(as_object(given).get("allowed_tools")).get("mode") == "required"
    return {"any": {}} if required else None


def _read_called_names(messages: list[Json]) -> list[str]:
    """Return the names of the tools with calls in the conversation."""
    blocks = [block for message in messages for block in message["content"]]
    return list(dict.fromkeys(b["toolUse"]["name"] for b in blocks if "toolUse" in b))


_OWN = (
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
)
"""Converse's own fields, which are passed on."""

_ALIASES = {"fast": "priority"}  # OpenRouter's name
_TIERS = frozenset({"default", "flex", "priority", "reserved"})


def build_body(request: CompletionRequest) -> Json:
    """Return the body to send. `request.body` is not changed."""
    chat_body = with_tools(request.body)
    refuse_rare_formats(chat_body)
    conversation = BedrockConversation(chat_body.get("messages"))
    body: Json = {"messages": conversation.messages}
    if conversation.system:
        body["system"] = conversation.system
    if inference := inference_config(chat_body):
        body["inferenceConfig"] = inference
    if tools := tool_config(chat_body, conversation.messages):
        body["toolConfig"] = tools
    if form := _text_format(chat_body.get("response_format")):
        body["outputConfig"] = {"textFormat": form}
    tier = _ALIASES.get(str(chat_body.get("service_tier")), chat_body.get("service_tier"))
    if tier in _TIERS:
        body["serviceTier"] = {"type": tier}
    apply_model_fields(body, chat_body, request.model)
    for name in _OWN:
        if isinstance(given := chat_body.get(name), dict):
            body[name] = {**body.get(name, {}), **given}
        elif given is not None:
            body[name] = given
    return body


def _text_format(form: Any) -> Json | None:
    """Return a JSON schema as Converse's `textFormat`, which has the schema as a string."""
    named = form.get("json_schema") if isinstance(form, dict) else None
    if not isinstance(named, dict) or not isinstance(named.get("schema"), dict):
        return None
    schema: Json = {"schema": orjson.dumps(named["schema"]).decode()}
    schema |= {name: named[name] for name in ("name", "description") if named.get(name)}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
