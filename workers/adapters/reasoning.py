"""What a request asks of a model's reasoning, in OpenRouter's or OpenAI's words.

Shares of the output budget per effort: OpenRouter's reference, "Reasoning tokens".
"""

from dataclasses import dataclass
from typing import NoReturn

from broker.completion import Json
from workers.adapters.refusals import refuse

_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}


@dataclass(frozen=True, slots=True)
class RequestedReasoning:
    """`wanted` is None where the request leaves it to the model."""

    wanted: bool | None = None
    effort: str | None = None
    max_tokens: int | None = None

    def budget(self, max_tokens: int) -> int:
        """Return how many of `max_tokens` output tokens may go into reasoning."""
        if self.max_tokens is not None:
            return self.max_tokens
        return int(max_tokens * _SHARES.get(self.effort or "medium", _SHARES["medium"]))


def requested_reasoning(body: Json) -> RequestedReasoning:
    """Read `reasoning` (effort, max_tokens, enabled) and OpenAI's `reasoning_effort`."""
    asked = body.get("reasoning")
    asked = asked if isinstance(asked, dict) else {}
    effort = asked.get("effort") or body.get("reasoning_effort")
    effort = effort if isinstance(effort, str) else None
    limit = asked.get("max_tokens")
    limit = limit if isinstance(limit, int) and limit > 0 else None
    if asked.get("enabled") is False or effort == "none":
        return RequestedReasoning(wanted=False)
    if asked.get("enabled") or effort or limit:
        return RequestedReasoning(wanted=True, effort=effort, max_tokens=limit)
    return RequestedReasoning()


def refuse_off(model: str) -> NoReturn:
    """Raise for a request that turns off the reasoning of a model which always reasons."""
    refuse(
        "reasoning",
        f"{model} always reasons, and the provider has no way to turn it off. Leave "
        '`enabled: false` out, ask for `effort: "low"`, or choose another model.',
    )


def output_limit(body: Json) -> int | None:
    """Return the most output tokens the request allows, under either of OpenAI's names."""
    for name in ("max_completion_tokens", "max_tokens"):
        if isinstance(value := body.get(name), int):
            return value
    return None
