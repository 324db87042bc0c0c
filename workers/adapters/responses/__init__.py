"""OpenAI's Responses API, by which OpenAI serves its pro, codex and research models only."""

from workers.adapters.responses.adapter import AzureResponsesAdapter, ResponsesAdapter

__all__ = ["AzureResponsesAdapter", "ResponsesAdapter"]
