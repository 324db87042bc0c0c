"""What OpenAI-compatible providers offer beside chat: one file per endpoint."""
