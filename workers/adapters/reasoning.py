"""Reasoning options of a request, and the reasoning of earlier turns as text."""

from typing import NoReturn

from broker.completion import Json
from broker.values import immutable
from workers.adapters.base import refuse
from workers.adapters.json_shapes import as_object, as_objects, as_text

_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}


@immutable
class ReasoningOptions:
    """The reasoning options of a request; `wanted` is None where the model decides."""

    wanted: bool | None = None
    effort: str | None = None
    max_tokens: int | None = None

    def budget(self, max_tokens: int) -> int:
        """Return the reasoning tokens allowed within `max_tokens` output tokens."""
        if self.max_tokens is not None:
            return self.max_tokens
        return int(max_tokens * _SHARES.get(self.effort or "medium", _SHARES["medium"]))


def read_reasoning_options(body: Json) -> ReasoningOptions:
    """Read `reasoning` (effort, max_tokens, enabled) and OpenAI's `reasoning_effort`."""
    options = as_object(body.get("reasoning"))
    effort = options.get("effort") or body.get("reasoning_effort")
    effort = effort if isinstance(effort, str) else None
    limit = options.get("max_tokens")
    limit = limit if isinstance(limit, int) and limit > 0 else None
    if options.get("enabled") is False or effort == "none":
        return ReasoningOptions(wanted=False)
    if options.get("enabled") or effort or limit:
        return ReasoningOptions(wanted=True, effort=effort, max_tokens=limit)
    return ReasoningOptions()


def refuse_off(model: str) -> NoReturn:
    """Raise ProviderFailureError for reasoning turned off at a model that always reasons."""
    refuse(
        "reasoning",
        f"{model} always reasons, and the provider cannot turn it off. Leave out "
        '`enabled: false`, set `effort: "low"`, or choose another model.',
    )


def read_output_limit(body: Json) -> int | None:
    """Return the limit on output tokens, under either of OpenAI's names."""
    for name in ("max_completion_tokens", "max_tokens"):
        if isinstance(value := body.get(name), int):
            return value
    return None


REASONING_FIELDS = ("reasoning", "reasoning_details")
"""The fields of a message that hold reasoning in our answers."""


def hides_reasoning(body: Json) -> bool:
    """Return whether the chat body requests an answer without its reasoning."""
    excluded = as_object(body.get("reasoning")).get("exclude") is True
    return excluded or body.get("include_reasoning") is False


_TEXTS = {"reasoning.text": "text", "reasoning.summary": "summary"}


def read_history_reasoning(message: Json) -> str:
    """Return the reasoning of a message as text. Encrypted reasoning is left out."""
    for name in ("reasoning_content", "reasoning"):
        if text := as_text(message.get(name)):
            return text
    details = as_objects(message.get("reasoning_details"))
    return "".join(as_text(each.get(_TEXTS.get(str(each.get("type")), ""))) for each in details)
