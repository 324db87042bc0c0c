"""Builds the body of a Messages request from a chat body.

Source: platform.claude.com/docs/en/api/messages. What has no counterpart there (seed, penalties,
logprobs, n, …) is left out.
"""

from typing import Any

from broker.completion import CompletionRequest, Json
from workers.adapters.anthropic.messages import read_conversation
from workers.adapters.anthropic.models import Model
from workers.adapters.anthropic.structured import set_format
from workers.adapters.anthropic.thinking import set_sampling, set_thinking
from workers.adapters.anthropic.tools import read_choice, read_tools
from workers.adapters.legacy_functions import with_tools
from workers.adapters.reasoning import output_limit
from workers.adapters.refusals import refuse_rare_formats

_TIERS = {"auto": "auto", "priority": "auto", "fast": "auto", "default": "standard_only"}


def request_body(request: CompletionRequest, quirks: frozenset[str]) -> Json:
    """Return the body to send; `request.body` is left as it was."""
    body, model = with_tools(request.body), Model.named(request.model)
    refuse_rare_formats(body)
    conversation = read_conversation(body.get("messages"))
    sent: Json = {
        "model": request.model,
        "max_tokens": output_limit(body) or model.default_max_tokens,
        "messages": conversation.turns,
    }
    if conversation.system:
        sent["system"] = conversation.system
    if tools := read_tools(body, model):
        sent["tools"] = tools
        if choice := read_choice(body):
            sent["tool_choice"] = choice
    set_format(sent, body, model, quirks)
    set_thinking(sent, body, model, conversation)
    set_sampling(sent, body, model)
    _set_rest(sent, body)
    if request.stream:
        sent["stream"] = True
    return sent


def _set_rest(sent: Json, body: Json) -> None:
    if stops := _stop_sequences(body.get("stop")):
        sent["stop_sequences"] = stops
    if user := body.get("user"):
        sent["metadata"] = {"user_id": user}
    if tier := _TIERS.get(str(body.get("service_tier"))):
        sent["service_tier"] = tier
    if mark := body.get("cache_control"):
        sent["cache_control"] = mark


def _stop_sequences(stop: Any) -> list[str]:
    """Return the stop sequences; those of white space only are refused here."""
    given = stop if isinstance(stop, list) else [stop]
    return [text for text in given if isinstance(text, str) and text.strip()]
