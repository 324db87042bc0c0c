"""The Anthropic Messages wire."""

from workers.adapters.anthropic.adapter import AnthropicAdapter

__all__ = ("AnthropicAdapter",)
