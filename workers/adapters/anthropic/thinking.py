"""How long a model is to think, and what thinking forbids.

Sources: platform.claude.com/docs/en/build-with-claude/extended-thinking ("feature compatibility":
no forced tools, no prefill, no temperature or top_k, top_p from 0.95; a budget below max_tokens),
…/adaptive-thinking (`display`), …/effort (its words).
"""

from broker.completion import Json
from workers.adapters.anthropic.messages import Conversation
from workers.adapters.anthropic.models import Model
from workers.adapters.anthropic.tools import forces
from workers.adapters.hidden_reasoning import hides_reasoning
from workers.adapters.reasoning import RequestedReasoning, requested_reasoning

_LEAST_BUDGET = 1024
_MOST_BUDGET = 128_000
_LEAST_TOP_P = 0.95
_EFFORTS = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh",
    "max": "max",
}  # fmt: skip
_COARSE_EFFORTS = _EFFORTS | {"xhigh": "high"}  # of the models between budgets and efforts


def set_thinking(sent: Json, body: Json, model: Model, conversation: Conversation) -> None:
    """Set `thinking` in `sent`, whose limits, tools and turns are already set."""
    asked = requested_reasoning(body)
    if not model.thinks or forces(sent.get("tool_choice")):
        return
    if asked.wanted is False:
        sent["thinking"] = {"type": "disabled"}
    elif not asked.wanted or conversation.prefilled:
        return
    elif model.adapts and (asked.max_tokens is None or not model.takes_budget):
        _set_adaptive(sent, asked, model, hidden=hides_reasoning(body))
    elif not conversation.lost_thinking:
        _set_budget(sent, asked)


def set_sampling(sent: Json, body: Json, model: Model) -> None:
    """Set temperature, top_p and top_k as far as the model and its thinking allow them."""
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


def _set_adaptive(sent: Json, asked: RequestedReasoning, model: Model, *, hidden: bool) -> None:
    sent["thinking"] = {"type": "adaptive", "display": "omitted" if hidden else "summarized"}
    words = _COARSE_EFFORTS if model.takes_budget else _EFFORTS
    if effort := words.get(asked.effort or ""):
        sent["output_config"] = {**sent.get("output_config", {}), "effort": effort}


def _set_budget(sent: Json, asked: RequestedReasoning) -> None:
    limit = sent["max_tokens"]
    budget = min(max(asked.budget(limit), _LEAST_BUDGET), _MOST_BUDGET)
    sent["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if limit <= budget:
        sent["max_tokens"] = budget + limit  # what the caller granted is left for the answer
