"""Anthropic's Messages API."""

from workers.adapters.anthropic.adapter import AnthropicAdapter

__all__ = ("AnthropicAdapter",)
