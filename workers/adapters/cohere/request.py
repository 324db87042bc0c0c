"""Builds the body of a Cohere v2 chat request.

Rules: https://docs.cohere.com/reference/chat. What Cohere does not know (`n`, `logit_bias`,
`parallel_tool_calls`, `user`, …) is left out, and numbers beyond its limits are brought inside.
"""

from broker.completion import CompletionRequest, Json
from workers.adapters.cohere.messages import chat_messages
from workers.adapters.cohere.tools import tool_fields
from workers.adapters.legacy_functions import with_tools
from workers.adapters.reasoning import output_limit, requested_reasoning
from workers.adapters.refusals import refuse_rare_formats, stop_words

_STOP_LIMIT = 5
_NUMBERS: tuple[tuple[str, str, float, float], ...] = (
    # OpenAI's name, Cohere's name, its least and its most
    ("temperature", "temperature", 0.0, 2.0),
    ("top_p", "p", 0.01, 0.99),
    ("top_k", "k", 0, 500),
    ("frequency_penalty", "frequency_penalty", 0.0, 1.0),
    ("presence_penalty", "presence_penalty", 0.0, 1.0),
)
_OWN = ("safety_mode", "citation_options", "priority", "strict_tools", "thinking")
"""Cohere's own fields, passed on where a caller gives them."""


def request_body(request: CompletionRequest) -> Json:
    """Return the body to send; `request.body` is left as it was."""
    asked = with_tools(request.body)
    refuse_rare_formats(asked)
    messages, documents = chat_messages(asked.get("messages"))
    body: Json = {"model": request.model, "messages": messages, "stream": request.stream}
    body |= _sampling(asked)
    body |= tool_fields(asked)
    body |= {name: asked[name] for name in _OWN if asked.get(name) is not None}
    if given := asked.get("documents"):
        documents = [*given, *documents] if isinstance(given, list) else documents
    if documents:
        body["documents"] = documents
    # Cohere refuses a response format beside tools or documents.
    if "tools" not in body and not documents and (form := _response_format(asked)):
        body["response_format"] = form
    if "thinking" not in body and (thinking := _thinking(asked)):
        body["thinking"] = thinking
    return body


def _sampling(asked: Json) -> Json:
    fields: Json = {}
    for name, own_name, least, most in _NUMBERS:
        value = asked.get(name)
        if isinstance(value, int | float):
            fields[own_name] = min(max(value, least), most)
    if (limit := output_limit(asked)) is not None:
        fields["max_tokens"] = limit
    if isinstance(asked.get("seed"), int):
        fields["seed"] = asked["seed"]
    if asked.get("logprobs"):
        fields["logprobs"] = True
    if stops := stop_words(asked, _STOP_LIMIT):
        fields["stop_sequences"] = stops
    return fields


def _response_format(asked: Json) -> Json | None:
    form = asked.get("response_format")
    if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
        return None
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return {"type": "json_object"} | ({"json_schema": schema} if schema else {})


def _thinking(asked: Json) -> Json | None:
    """Return the `thinking` object (https://docs.cohere.com/docs/reasoning)."""
    reasoning = requested_reasoning(asked)
    if reasoning.wanted is None:
        return None
    if not reasoning.wanted:
        return {"type": "disabled"}
    limit = output_limit(asked)
    if limit is None and reasoning.max_tokens is None:
        return {"type": "enabled"}
    return {"type": "enabled", "token_budget": max(1, reasoning.budget(limit or 0))}
