"""Body of a Messages request."""

from typing import Any

from broker.completion import CompletionRequest, Json
from broker.requests.native import TRANSLATED_FIELDS, read_fields
from workers.adapters.anthropic.messages import WIRE, AnthropicConversation, read_conversation
from workers.adapters.anthropic.models import AnthropicQuirk, ClaudeModel
from workers.adapters.anthropic.tools import forces_tool, read_choice, read_tools, set_format
from workers.adapters.base import refuse_rare_formats
from workers.adapters.reasoning import (
    ReasoningOptions,
    hides_reasoning,
    read_output_limit,
    read_reasoning_options,
)
from workers.adapters.tool_calls import with_tools

_LEAST_BUDGET = 1024
_MOST_BUDGET = 128_000
_LEAST_TOP_P = 0.95
_EFFORTS = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh",
    "max": "max",
}  # fmt: skip
_COARSE_EFFORTS = _EFFORTS | {"xhigh": "high"}  # of models that have both budgets and efforts


def set_thinking(
    sent: Json, body: Json, model: ClaudeModel, conversation: AnthropicConversation
) -> None:
    """Set `thinking` in `sent`. Its limits, tools and turns must be set."""
    options = read_reasoning_options(body)
    if not model.thinks or forces_tool(sent.get("tool_choice")):
        return
    if options.wanted is False:
        sent["thinking"] = {"type": "disabled"}
    elif not options.wanted or conversation.prefilled:
        return
    elif model.adapts and (options.max_tokens is None or not model.takes_budget):
        _set_adaptive(sent, options, model, hidden=hides_reasoning(body))
    elif not conversation.lost_thinking:
        _set_budget(sent, options)


def set_sampling(sent: Json, body: Json, model: ClaudeModel) -> None:
    """Set temperature, top_p and top_k, where the model and its thinking allow them."""
    if not model.takes_sampling:
        return
    thinking = sent.get("thinking", {}).get("type") in ("enabled", "adaptive")
    temperature, top_p = body.get("temperature"), body.get("top_p")
    if isinstance(temperature, int | float) and not thinking:
        sent["temperature"] = min(temperature, 1)  # OpenAI's scale ends at 2
    if isinstance(top_p, int | float) and not ("temperature" in sent and model.takes_one_sampler):
        sent["top_p"] = max(top_p, _LEAST_TOP_P) if thinking else top_p
    if isinstance(body.get("top_k"), int) and body["top_k"] > 0 and not thinking:
        sent["top_k"] = body["top_k"]


def _set_adaptive(
    sent: Json, options: ReasoningOptions, model: ClaudeModel, *, hidden: bool
) -> None:
    sent["thinking"] = {"type": "adaptive", "display": "omitted" if hidden else "summarized"}
    words = _COARSE_EFFORTS if model.takes_budget else _EFFORTS
    if effort := words.get(options.effort or ""):
        sent["output_config"] = {**sent.get("output_config", {}), "effort": effort}


def _set_budget(sent: Json, options: ReasoningOptions) -> None:
    limit = sent["max_tokens"]
    budget = min(max(options.budget(limit), _LEAST_BUDGET), _MOST_BUDGET)
    sent["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if limit <= budget:
        sent["max_tokens"] = budget + limit  # the requested limit remains for the answer


_TIERS = {"auto": "auto", "priority": "auto", "fast": "auto", "default": "standard_only"}


def build_body(request: CompletionRequest, quirks: frozenset[str]) -> Json:
    """Return the body to send. `request.body` is not changed."""
    body, model = with_tools(request.body), ClaudeModel.from_name(request.model)
    refuse_rare_formats(body)
    conversation = read_conversation(body.get("messages"))
    sent: Json = {
        "model": request.model,
        "max_tokens": read_output_limit(body) or model.default_max_tokens,
        "messages": conversation.turns,
    }
    if conversation.system:
        sent["system"] = conversation.system
    if tools := read_tools(body, model):
        sent["tools"] = tools
        if choice := read_choice(body):
            sent["tool_choice"] = choice
    native = read_fields(body, WIRE)
    if not _set_native_config(sent, native, model, quirks):
        set_format(sent, body, model, quirks)
    if not _set_native_thinking(sent, native, model):
        set_thinking(sent, body, model, conversation)
    set_sampling(sent, body, model)
    _set_rest(sent, body)
    sent |= {name: value for name, value in native.items() if name not in TRANSLATED_FIELDS}
    if request.stream:
        sent["stream"] = True
    return sent


def _set_native_config(
    sent: Json, native: Json, model: ClaudeModel, quirks: frozenset[str]
) -> bool:
    """Set the `output_config` of a caller of this wire. Return whether it has the format."""
    config = native.get("output_config")
    if not isinstance(config, dict):
        return False
    takes_schema = model.takes_schema and AnthropicQuirk.FORCED_TOOL_SCHEMA not in quirks
    kept = {name: config[name] for name in config if name != "format" or takes_schema}
    if kept:
        sent["output_config"] = kept
    return "format" in kept


def _set_native_thinking(sent: Json, native: Json, model: ClaudeModel) -> bool:
    """Set the `thinking` of a caller of this wire, if the model has it in this form."""
    thinking = native.get("thinking")
    if not isinstance(thinking, dict):
        return False
    fits = {"enabled": model.takes_budget, "adaptive": model.adapts, "disabled": model.thinks}
    if fits.get(str(thinking.get("type"))):
        sent["thinking"] = thinking
        return True
    return False


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
    """Return the stop sequences. Drop those of white space, which the wire refuses."""
    given = stop if isinstance(stop, list) else [stop]
    return [text for text in given if isinstance(text, str) and text.strip()]
