"""Converse's usage (API_runtime_TokenUsage): input tokens leave the cache's out."""

from typing import Any

from broker.completion import Json, Usage


def read_usage(usage: Any) -> Usage | None:
    """Return what a `usage` object says, None where it counts nothing."""
    if not isinstance(usage, dict):
        return None
    given, output = _count(usage, "inputTokens"), _count(usage, "outputTokens")
    if given is None and output is None:
        return None
    return Usage(
        input=given,
        cache_read=_count(usage, "cacheReadInputTokens"),
        cache_write=_count(usage, "cacheWriteInputTokens"),
        output=output,
    )


def _count(usage: Json, name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and value >= 0 else None
