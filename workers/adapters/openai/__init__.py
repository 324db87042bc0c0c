"""OpenAI's chat-completions wire, spoken by most of the field."""

from workers.adapters.openai.adapter import OpenAiAdapter

__all__ = ["OpenAiAdapter"]
