"""Cohere's chat API, version 2 (https://docs.cohere.com/reference/chat)."""

from workers.adapters.cohere.adapter import CohereAdapter

__all__ = ["CohereAdapter"]
