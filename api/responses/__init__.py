"""OpenAI's Responses API: POST /responses and what belongs to a response."""
