"""The reasoning that an assistant message of a history carries, as text.

Clients send it back under one of three names: `reasoning_content` (DeepSeek's), `reasoning`, or
`reasoning_details` alone, as OpenRouter documents it; a stream tells those in pieces.
"""

from broker.completion import Json
from workers.adapters.json_shapes import objects, text_of

_TEXTS = {"reasoning.text": "text", "reasoning.summary": "summary"}


def history_reasoning(message: Json) -> str:
    """Return the reasoning of a message; an encrypted one says nothing to other vendors."""
    for name in ("reasoning_content", "reasoning"):
        if text := text_of(message.get(name)):
            return text
    details = objects(message.get("reasoning_details"))
    return "".join(text_of(each.get(_TEXTS.get(str(each.get("type")), ""))) for each in details)
