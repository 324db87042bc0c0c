"""Whether a caller wants a model's reasoning kept out of the answer.

Source: openrouter.ai/docs/use-cases/reasoning-tokens (`exclude`, once `include_reasoning`).
"""

from broker.completion import Json

SHOWN_REASONING = ("reasoning", "reasoning_details")
"""Where our answers show it."""


def hides_reasoning(body: Json) -> bool:
    """Tell whether the chat body asks for an answer without its reasoning."""
    asked = body.get("reasoning")
    excluded = isinstance(asked, dict) and asked.get("exclude") is True
    return excluded or body.get("include_reasoning") is False
