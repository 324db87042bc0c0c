"""Anthropic's Messages API over any model: messages, token counts, and batches of messages."""
