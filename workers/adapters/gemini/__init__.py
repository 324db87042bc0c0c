"""Google's `generateContent`, of AI Studio and Vertex AI."""

from workers.adapters.gemini.adapter import GeminiAdapter

__all__ = ("GeminiAdapter",)
