"""What single model families on Bedrock want in fields of their own, and what they refuse.

The family is told from the model's id, which an inference profile's id or ARN contains; the ARN of
an application's own profile does not, and then only what Converse itself knows is sent.
"""

from broker.completion import Json
from workers.adapters.bedrock.inference import drop_inference
from workers.adapters.bedrock.models import apply_claude
from workers.adapters.reasoning import RequestedReasoning, refuse_off, requested_reasoning

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium"}
_ALWAYS_REASON = ("openai.gpt-oss", "deepseek.r1", "-thinking", "minimax.")
_UNSET_AT_HIGH = ("temperature", "topP", "maxTokens")


def apply_model_fields(body: Json, asked: Json, model: str) -> None:
    """Make `body`, otherwise complete, fit the model's family, in place."""
    reasoning = requested_reasoning(asked)
    top_k = asked.get("top_k")
    top_k = top_k if isinstance(top_k, int) and top_k > 0 else None
    if "anthropic." in model:
        apply_claude(body, asked, top_k, model)
    elif "amazon.nova" in model:
        _apply_nova(body, reasoning, top_k, model)
    elif reasoning.wanted is False and any(name in model for name in _ALWAYS_REASON):
        refuse_off(model)
    elif "openai.gpt-oss" in model and reasoning.wanted:
        body["additionalModelRequestFields"] = {"reasoning_effort": _level(reasoning)}


def _apply_nova(body: Json, reasoning: RequestedReasoning, top_k: int | None, model: str) -> None:
    """Nova user guide, "Complete request schema"; Nova 2 user guide, "Extended thinking"."""
    fields: Json = {}
    if top_k is not None:
        fields["inferenceConfig"] = {"topK": top_k}
    if reasoning.wanted and "amazon.nova-2" in model:
        level = _level(reasoning)
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": level}
        if level == "high":  # then how to sample, and how much, is the model's to decide
            fields.pop("inferenceConfig", None)
            drop_inference(body, *_UNSET_AT_HIGH)
    if fields:
        body["additionalModelRequestFields"] = fields


def _level(reasoning: RequestedReasoning) -> str:
    return _LEVELS.get(reasoning.effort or "medium", "high")
