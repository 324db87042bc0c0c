"""Mistral's chat API: OpenAI's wire with declared differences."""

from workers.adapters.mistral.adapter import MistralAdapter

__all__ = ["MistralAdapter"]
