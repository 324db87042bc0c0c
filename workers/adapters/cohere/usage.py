"""Cohere's usage (https://docs.cohere.com/reference/chat, `usage`).

`tokens` is what went through the model, cached tokens included; `billed_units`, which leaves out
Cohere's own preamble, is what is paid for. Version 1 keeps both under `meta`.
"""

from typing import Any

from broker.completion import Json, Usage
from workers.adapters.json_shapes import an_object


def read_usage(usage: Any) -> Usage | None:
    """Return what a `usage` (or version 1's `meta`) object says, None where it counts nothing."""
    usage = an_object(usage)
    billed = an_object(usage.get("billed_units"))
    counted = an_object(usage.get("tokens"))
    if not counted:
        counted, billed = billed, {}
    given, output = _count(counted, "input_tokens"), _count(counted, "output_tokens")
    if given is None and output is None:
        return None
    cached = _count(usage, "cached_tokens")
    if cached is None:
        cached = _count(counted, "cached_tokens")
    if given is not None and cached is not None:
        cached = min(cached, given)
    return Usage(
        input=None if given is None else given - (cached or 0),
        cache_read=cached,
        output=output,
        reasoning=_count(counted, "reasoning_tokens"),
        billed_input=_count(billed, "input_tokens"),
        billed_output=_count(billed, "output_tokens"),
    )


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)  # seen as 12 and as 12.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 else None
