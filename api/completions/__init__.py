"""Calls: chat completions and the other operations, answered, streamed or accepted for later."""
