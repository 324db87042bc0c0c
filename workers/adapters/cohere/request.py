"""Body of a Cohere v2 chat request: messages, documents and tools.

See https://docs.cohere.com/reference/chat and https://docs.cohere.com/docs/tool-use-overview.
"""

from typing import Any

from broker.completion import CompletionRequest, Json
from workers.adapters.base import read_stop_sequences, refuse_rare_formats
from workers.adapters.json_shapes import as_object, as_objects, as_text, read_call
from workers.adapters.reasoning import (
    read_history_reasoning,
    read_output_limit,
    read_reasoning_options,
)
from workers.adapters.tool_calls import argument_text, with_tools
from workers.adapters.tool_history import unrestricted_id, with_matched_calls

_ROLES = {"developer": "system", "system": "system", "user": "user", "tool": "tool"}


def chat_messages(given: Any) -> tuple[list[Json], list[Json]]:
    """Return the messages, and the documents in user messages."""
    messages: list[Json] = []
    documents: list[Json] = []
    for message in as_objects(with_matched_calls(given, unrestricted_id)):
        role = message.get("role")
        if role == "assistant":
            messages.append(_assistant(message))
            continue
        content = message.get("content")
        if role == "user" and isinstance(content, list):
            documents += [part["document"] for part in content if _is_document(part)]
            content = [part for part in content if not _is_document(part)]
        entry: Json = {"role": _ROLES.get(str(role), "user"), "content": _content(content)}
        if role == "tool":
            entry["tool_call_id"] = message["tool_call_id"]
        messages.append(entry)
    return messages, documents


def _assistant(message: Json) -> Json:
    answer: Json = {"role": "assistant"}
    if content := _content(message.get("content")):
        answer["content"] = content
    calls = [_call(call) for call in as_objects(message.get("tool_calls"))]
    if not calls:
        return {"content": "", **answer}
    answer["tool_calls"] = calls
    # Cohere's plan before a call is reasoning in our answers, and is sent back as the plan.
    if plan := as_text(message.get("tool_plan")) or read_history_reasoning(message):
        answer["tool_plan"] = plan
    return answer


def _call(call: Json) -> Json:
    kind, holder = read_call(call)
    arguments = argument_text(holder.get("arguments" if kind == "function" else "input")) or "{}"
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": holder.get("name"), "arguments": arguments},
    }


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("text", "")}  # without cache markers
    if kind == "image_url":
        return {"type": "image_url", "image_url": _image(part.get("image_url"))}
    return part


def _image(image: Any) -> Json:
    given = image if isinstance(image, dict) else {"url": image}
    return {name: given[name] for name in ("url", "detail") if given.get(name)}


def _is_document(part: Any) -> bool:
    """Return whether a part is a document in Cohere's shape. Files are text already."""
    return isinstance(part, dict) and part.get("type") == "document" and bool(part.get("document"))


_NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def tool_fields(chat_body: Json) -> Json:
    """Return `tools`, `tool_choice` and `strict_tools`, those that the request needs."""
    given = chat_body.get("tools")
    functions = [function for tool in as_objects(given) if (function := _function(tool))]
    choice, only = _choice(chat_body.get("tool_choice"))
    if only is not None:
        # Cohere cannot be forced to call one tool of several, so it gets only that one.
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
    function = as_object(tool.get("function"))
    return function if as_text(function.get("name")) else None


def _own(function: Json) -> Json:
    own: Json = {"name": function["name"]}
    if function.get("description"):
        own["description"] = function["description"]
    return own | {"parameters": function.get("parameters") or _NO_PARAMETERS}


def _choice(given: Any) -> tuple[str | None, set[str] | None]:
    """Return Cohere's tool choice, and the names of the tools that it allows (None = all)."""
    if given in ("required", "any"):
        return "REQUIRED", None
    if given == "none":
        return "NONE", None
    if function := _function(as_object(given)):
        return "REQUIRED", {function["name"]}
    allowed = as_object(as_object(given).get("allowed_tools"))
    names = {one["name"] for tool in as_objects(allowed.get("tools")) if (one := _function(tool))}
    return ("REQUIRED" if allowed.get("mode") == "required" else None), names or None


def _can_be_strict(function: Json) -> bool:
    """Return whether a function is strict and has the required parameter that Cohere needs."""
    return bool(function.get("strict") and as_object(function.get("parameters")).get("required"))


_STOP_LIMIT = 5
_NUMBERS: tuple[tuple[str, str, float, float], ...] = (
    # OpenAI's name, Cohere's name, the least and the greatest value
    ("temperature", "temperature", 0.0, 2.0),
    ("top_p", "p", 0.01, 0.99),
    ("top_k", "k", 0, 500),
    ("frequency_penalty", "frequency_penalty", 0.0, 1.0),
    ("presence_penalty", "presence_penalty", 0.0, 1.0),
)
_OWN = ("safety_mode", "citation_options", "priority", "strict_tools", "thinking")
"""Cohere's own fields, which are passed on."""


def build_body(request: CompletionRequest) -> Json:
    """Return the body to send. `request.body` is not changed."""
    chat_body = with_tools(request.body)
    refuse_rare_formats(chat_body)
    messages, documents = chat_messages(chat_body.get("messages"))
    body: Json = {"model": request.model, "messages": messages, "stream": request.stream}
    body |= _sampling(chat_body)
    body |= tool_fields(chat_body)
    body |= {name: chat_body[name] for name in _OWN if chat_body.get(name) is not None}
    if given := chat_body.get("documents"):
        documents = [*given, *documents] if isinstance(given, list) else documents
    if documents:
        body["documents"] = documents
    # Cohere refuses a response format beside tools or documents.
    if "tools" not in body and not documents and (form := _response_format(chat_body)):
        body["response_format"] = form
    if "thinking" not in body and (thinking := _thinking(chat_body)):
        body["thinking"] = thinking
    return body


def _sampling(chat_body: Json) -> Json:
    fields: Json = {}
    for name, own_name, least, most in _NUMBERS:
        value = chat_body.get(name)
        if isinstance(value, int | float):
            fields[own_name] = min(max(value, least), most)
    if (limit := read_output_limit(chat_body)) is not None:
        fields["max_tokens"] = limit
    if isinstance(chat_body.get("seed"), int):
        fields["seed"] = chat_body["seed"]
    if chat_body.get("logprobs"):
        fields["logprobs"] = True
    if stops := read_stop_sequences(chat_body, _STOP_LIMIT):
        fields["stop_sequences"] = stops
    return fields


def _response_format(chat_body: Json) -> Json | None:
    form = chat_body.get("response_format")
    if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
        return None
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return {"type": "json_object"} | ({"json_schema": schema} if schema else {})


def _thinking(chat_body: Json) -> Json | None:
    """Return the `thinking` object (https://docs.cohere.com/docs/reasoning)."""
    reasoning = read_reasoning_options(chat_body)
    if reasoning.wanted is None:
        return None
    if not reasoning.wanted:
        return {"type": "disabled"}
    limit = read_output_limit(chat_body)
    if limit is None and reasoning.max_tokens is None:
        return {"type": "enabled"}
    return {"type": "enabled", "token_budget": max(1, reasoning.budget(limit or 0))}
