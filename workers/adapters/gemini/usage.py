"""Gemini's `usageMetadata` as a `Usage`.

Source: ai.google.dev/api/generate-content#UsageMetadata: the prompt count includes what was cached;
thoughts are counted beside the candidates, and what tools brought in beside the prompt.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from broker.completion import Json, Usage
from workers.adapters.gemini.models import Model

_TIERS = {"standard": "default"}


def counts_something(raw: Any) -> bool:
    """Tell a real count from the metadata of a chunk in the middle, which may only name a tier."""
    return isinstance(raw, dict) and any(name.endswith("TokenCount") for name in raw)


def read_usage(raw: Any) -> Usage | None:
    """Return what a `usageMetadata` says, or None where it counts nothing."""
    if not counts_something(raw):
        return None
    cached = _count(raw, "cachedContentTokenCount")
    prompt = _sum(_count(raw, "promptTokenCount"), _count(raw, "toolUsePromptTokenCount"))
    thoughts = _count(raw, "thoughtsTokenCount")
    output = _sum(_count(raw, "candidatesTokenCount"), thoughts)
    total = _count(raw, "totalTokenCount")
    if output is None and prompt is not None and total is not None:
        output = max(0, total - prompt)
    return Usage(
        input=None if prompt is None else max(0, prompt - (cached or 0)),
        cache_read=cached,
        output=output,
        reasoning=thoughts,
        input_audio=_of_kind(raw, "promptTokensDetails", "AUDIO"),
        input_image=_of_kind(raw, "promptTokensDetails", "IMAGE"),
        output_audio=_of_kind(raw, "candidatesTokensDetails", "AUDIO"),
        output_image=_of_kind(raw, "candidatesTokensDetails", "IMAGE"),
    )


def with_searches(usage: Usage | None, queries: Iterable[set[str]], model: str) -> Usage | None:
    """Count Google's searches as it bills them; `queries` are those of each candidate."""
    asked = sum(len(each) for each in queries)
    if usage is None or not asked:
        return usage
    return replace(usage, searches=asked if Model.named(model).bills_queries else 1)


def read_tier(raw: Any) -> str | None:
    """Return the tier that served the request in OpenAI's word."""
    tier = raw.get("serviceTier") if isinstance(raw, dict) else None
    return _TIERS.get(tier, tier) if isinstance(tier, str) else None


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _sum(*counts: int | None) -> int | None:
    stated = [count for count in counts if count is not None]
    return sum(stated) if stated else None


def _of_kind(raw: Json, name: str, modality: str) -> int | None:
    details = raw.get(name)
    entries = details if isinstance(details, list) else []
    of_kind = [e for e in entries if isinstance(e, dict) and e.get("modality") == modality]
    return _sum(*(_count(entry, "tokenCount") for entry in of_kind))
