"""Claude on Converse: thinking, and what Claude's models refuse.

Sources: Bedrock user guide, "Claude extended thinking" and "Adaptive thinking"; what a version
accepts is the same as at Anthropic (`anthropic.models`).
"""

from broker.completion import Json
from workers.adapters.anthropic.models import Model
from workers.adapters.bedrock.inference import drop_inference
from workers.adapters.hidden_reasoning import hides_reasoning
from workers.adapters.reasoning import RequestedReasoning, requested_reasoning

_LEAST_BUDGET = 1024
_EFFORTS = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh",
    "max": "max",
}  # fmt: skip
_COARSE_EFFORTS = _EFFORTS | {"xhigh": "high"}  # of the models between budgets and efforts


def apply_claude(body: Json, asked: Json, top_k: int | None, name: str) -> None:
    """Make `body` fit this version of Claude, in place."""
    model, reasoning = Model.named(name), requested_reasoning(asked)
    thinking = _thinking(body, reasoning, model, hidden=hides_reasoning(asked))
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
    body: Json, reasoning: RequestedReasoning, model: Model, *, hidden: bool
) -> Json | None:
    """Return `thinking`; forced tools, a begun answer and lost thoughts exclude it."""
    choice = body.get("toolConfig", {}).get("toolChoice", {})
    if not model.thinks or "any" in choice or "tool" in choice:
        return None
    if reasoning.wanted is False:
        return {"type": "disabled"} if model.adapts else None
    if not reasoning.wanted or _is_prefilled(body):
        return None
    if model.adapts and (reasoning.max_tokens is None or not model.takes_budget):
        return {"type": "adaptive", "display": "omitted" if hidden else "summarized"}
    return None if _has_lost_thoughts(body) else _budgeted(body, reasoning, model)


def _budgeted(body: Json, reasoning: RequestedReasoning, model: Model) -> Json:
    """Return a budget below the limit on the whole output, which is raised where it must be."""
    inference = body.setdefault("inferenceConfig", {})
    limit = inference.get("maxTokens") or model.default_max_tokens
    budget = max(_LEAST_BUDGET, reasoning.budget(limit))
    inference["maxTokens"] = limit if limit > budget else budget + limit
    return {"type": "enabled", "budget_tokens": budget}


def _apply_effort(body: Json, reasoning: RequestedReasoning, model: Model) -> None:
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
    """Whether tools were just called without the thinking that led there being sent back."""
    spoken = [message for message in body["messages"] if message["role"] == "assistant"]
    content = spoken[-1]["content"] if spoken else []
    return any("toolUse" in block for block in content) and "reasoningContent" not in content[0]
