"""Prompt-cache markers: Anthropic's `cache_control` as Converse's `cachePoint` blocks.

Rules: API_runtime_CachePointBlock. A point stands behind what it marks.
"""

from broker.completion import Json

_TTLS = ("5m", "1h")


def cache_point(holder: Json) -> Json | None:
    """Return the block for a part, message or tool that carries a marker."""
    control = holder.get("cache_control")
    if not isinstance(control, dict):
        return None
    point: Json = {"type": "default"}
    if control.get("ttl") in _TTLS:
        point["ttl"] = control["ttl"]
    return {"cachePoint": point}
