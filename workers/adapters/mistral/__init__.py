"""Mistral's chat API, a variation of OpenAI's wire."""

from workers.adapters.mistral.adapter import MistralAdapter

__all__ = ["MistralAdapter"]
