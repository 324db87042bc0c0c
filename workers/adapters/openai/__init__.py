"""OpenAI's chat completions, the wire of most vendors."""

from workers.adapters.openai.adapter import OpenAiAdapter

__all__ = ["OpenAiAdapter"]
