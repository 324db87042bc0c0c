"""Parameters of the model families on Bedrock."""

from broker.completion import Json
from workers.adapters.anthropic.models import ClaudeModel
from workers.adapters.reasoning import (
    ReasoningOptions,
    hides_reasoning,
    read_output_limit,
    read_reasoning_options,
    refuse_off,
)


def inference_config(chat_body: Json) -> Json:
    """Return the inference fields of all models that the request sets."""
    fields: Json = {}
    if (limit := read_output_limit(chat_body)) is not None:
        fields["maxTokens"] = limit
    for name, own_name in (("temperature", "temperature"), ("top_p", "topP")):
        if isinstance(value := chat_body.get(name), int | float):
            fields[own_name] = min(max(value, 0), 1)  # Converse's range for both
    stop = chat_body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if isinstance(stops, list) and (kept := [one for one in stops if isinstance(one, str) and one]):
        fields["stopSequences"] = kept
    return fields


def drop_inference(body: Json, *names: str) -> None:
    """Remove fields from `inferenceConfig`, and `inferenceConfig` if it is empty then."""
    inference = body.pop("inferenceConfig", {})
    if kept := {name: value for name, value in inference.items() if name not in names}:
        body["inferenceConfig"] = kept


_LEAST_BUDGET = 1024
_EFFORTS = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh",
    "max": "max",
}  # fmt: skip
_COARSE_EFFORTS = _EFFORTS | {"xhigh": "high"}  # of models that have both budgets and efforts


def apply_claude(body: Json, chat_body: Json, top_k: int | None, name: str) -> None:
    """Fit `body` to this version of Claude, in place."""
    model, reasoning = ClaudeModel.from_name(name), read_reasoning_options(chat_body)
    thinking = _thinking(body, reasoning, model, hidden=hides_reasoning(chat_body))
    fields: Json = {"thinking": thinking} if thinking else {}
    thinks = thinking is not None and thinking["type"] != "disabled"
    if thinks or not model.takes_sampling:
        drop_inference(body, "temperature", "topP")
    elif top_k is not None:
        fields["top_k"] = top_k
    if model.takes_one_sampler and "temperature" in body.get("inferenceConfig", {}):
        drop_inference(body, "topP")
    if not model.takes_schema:
        _drop_schemas(body)
    if thinks:
        _apply_effort(body, reasoning, model)
    if fields:
        body["additionalModelRequestFields"] = fields


def _thinking(
    body: Json, reasoning: ReasoningOptions, model: ClaudeModel, *, hidden: bool
) -> Json | None:
    """Return `thinking`. Forced tools, a prefill and lost thoughts exclude it."""
    choice = body.get("toolConfig", {}).get("toolChoice", {})
    if not model.thinks or "any" in choice or "tool" in choice:
        return None
    if reasoning.wanted is False:
        return {"type": "disabled"} if model.adapts else None
    if not reasoning.wanted or _is_prefilled(body):
        return None
    if model.adapts and (reasoning.max_tokens is None or not model.takes_budget):
        return {"type": "adaptive", "display": "omitted" if hidden else "summarized"}
    return None if _has_lost_thoughts(body) else _set_budget(body, reasoning, model)


def _set_budget(body: Json, reasoning: ReasoningOptions, model: ClaudeModel) -> Json:
    """Return a budget below the output limit. Raise the limit in `body` where it is too low."""
    inference = body.setdefault("inferenceConfig", {})
    limit = inference.get("maxTokens") or model.default_max_tokens
    budget = max(_LEAST_BUDGET, reasoning.budget(limit))
    inference["maxTokens"] = limit if limit > budget else budget + limit
    return {"type": "enabled", "budget_tokens": budget}


def _apply_effort(body: Json, reasoning: ReasoningOptions, model: ClaudeModel) -> None:
    words = _COARSE_EFFORTS if model.takes_budget else _EFFORTS
    if model.adapts and (effort := words.get(reasoning.effort or "")):
        body["outputConfig"] = {**body.get("outputConfig", {}), "effort": effort}


def _drop_schemas(body: Json) -> None:
    body.pop("outputConfig", None)
    for tool in body.get("toolConfig", {}).get("tools", ()):
        tool.get("toolSpec", {}).pop("strict", None)


def _is_prefilled(body: Json) -> bool:
    messages = body["messages"]
    return bool(messages) and messages[-1]["role"] == "assistant"


def _has_lost_thoughts(body: Json) -> bool:
    """Return whether the last assistant message has tool calls without their thinking."""
    spoken = [message for message in body["messages"] if message["role"] == "assistant"]
    content = spoken[-1]["content"] if spoken else []
    return any("toolUse" in block for block in content) and "reasoningContent" not in content[0]


_LEVELS = {"minimal": "low", "low": "low", "medium": "medium"}
_ALWAYS_REASON = ("openai.gpt-oss", "deepseek.r1", "-thinking", "minimax.")
_UNSET_AT_HIGH = ("temperature", "topP", "maxTokens")


def apply_model_fields(body: Json, chat_body: Json, model: str) -> None:
    """Fit `body`, which is otherwise complete, to the model's family, in place."""
    reasoning = read_reasoning_options(chat_body)
    top_k = chat_body.get("top_k")
    top_k = top_k if isinstance(top_k, int) and top_k > 0 else None
    if "anthropic." in model:
        apply_claude(body, chat_body, top_k, model)
    elif "amazon.nova" in model:
        _apply_nova(body, reasoning, top_k, model)
    elif reasoning.wanted is False and any(name in model for name in _ALWAYS_REASON):
        refuse_off(model)
    elif "openai.gpt-oss" in model and reasoning.wanted:
        body["additionalModelRequestFields"] = {"reasoning_effort": _level(reasoning)}


def _apply_nova(body: Json, reasoning: ReasoningOptions, top_k: int | None, model: str) -> None:
    """Fit `body` to Nova.

    Sources: Nova user guide, "Complete request schema"; Nova 2 user guide, "Extended thinking".
    """
    fields: Json = {}
    if top_k is not None:
        fields["inferenceConfig"] = {"topK": top_k}
    if reasoning.wanted and "amazon.nova-2" in model:
        level = _level(reasoning)
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": level}
        if level == "high":  # then sampling and length must not be set
            fields.pop("inferenceConfig", None)
            drop_inference(body, *_UNSET_AT_HIGH)
    if fields:
        body["additionalModelRequestFields"] = fields


def _level(reasoning: ReasoningOptions) -> str:
    return _LEVELS.get(reasoning.effort or "medium", "high")
