"""The Messages wire's usage as a `Usage`.

Source: platform.claude.com/docs/en/build-with-claude/prompt-caching ("tracking cache performance"):
`input_tokens` counts only what was neither read from the cache nor written to it.
"""

from typing import Any

from broker.completion import Json, Usage

_TIERS = {"standard": "default"}


def merged(earlier: Json, later: Any) -> Json:
    """Return the counts of a stream so far: they are cumulative, and the last word counts.

    A host that repeats only some of them, or repeats them as 0, does not take the others back.
    """
    if not isinstance(later, dict):
        return earlier
    return earlier | {name: value for name, value in later.items() if value or name not in earlier}


def read_usage(raw: Any) -> Usage | None:
    """Return what a `usage` object says, or None where it counts nothing."""
    if not isinstance(raw, dict):
        return None
    details = raw.get("output_tokens_details")
    output = _count(raw, "output_tokens")
    thought = _count(details, "thinking_tokens") if isinstance(details, dict) else None
    usage = Usage(
        input=_count(raw, "input_tokens"),
        cache_read=_count(raw, "cache_read_input_tokens"),
        cache_write=_count(raw, "cache_creation_input_tokens"),
        cache_write_1h=_hour_long(raw.get("cache_creation")),
        output=output,
        reasoning=thought if thought is None or output is None else min(thought, output),
        searches=_searches(raw.get("server_tool_use")),
    )
    return None if usage == Usage() else usage


def _hour_long(written: Any) -> int | None:
    """Return the cached tokens that live for an hour, which cost more than those of 5 minutes."""
    return _count(written, "ephemeral_1h_input_tokens") if isinstance(written, dict) else None


def _searches(used: Any) -> int | None:
    """Return the web searches: they are billed apiece, fetches of pages are not."""
    return _count(used, "web_search_requests") if isinstance(used, dict) else None


def read_tier(raw: Any) -> str | None:
    """Return the tier that served the request in OpenAI's word."""
    tier = raw.get("service_tier") if isinstance(raw, dict) else None
    return _TIERS.get(tier, tier) if isinstance(tier, str) else None


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and value >= 0 else None
