"""OpenAI-shaped usage, in every vendor's variation, as a `Usage`.

The vendors agree on `prompt_tokens` and `completion_tokens` and on little else. xAI, and Google's
compatible endpoint, leave reasoning out of `completion_tokens` but count it in `total_tokens`;
Databricks does the same with cache tokens on the input side. The total therefore decides.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.completion import Usage

_NANOS = 1_000_000_000
_ABSURD_COST = 1e9  # dollars: no charge, and too many nano-dollars for the database
_TICKS_PER_NANO = 10  # xAI's `cost_in_usd_ticks`: ten billion ticks are a dollar

_READ = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens")
_READ_DETAIL = ("cached_tokens", "cache_read_tokens", "cache_read_input_tokens")
_WRITE_DETAIL = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


class _Counted(NamedTuple):
    """The numbers as stated, before it is settled what contains what."""

    prompt: int | None
    completion: int | None
    total: int | None
    read: int | None
    write: int | None
    reasoning: int | None


def read_usage(raw: object) -> Usage | None:
    """Return what `raw` (a `usage` object) says, or None where it counts nothing."""
    if not isinstance(raw, Mapping):
        return None
    prompt_details = _mapping(raw.get("prompt_tokens_details"))
    completion_details = _mapping(raw.get("completion_tokens_details"))
    counted = _Counted(
        prompt=_count(raw, "prompt_tokens"),
        completion=_count(raw, "completion_tokens"),
        total=_count(raw, "total_tokens"),
        read=_most(_count(prompt_details, *_READ_DETAIL), _count(raw, *_READ)),
        write=_most(_count(prompt_details, *_WRITE_DETAIL), _count(raw, *_WRITE_DETAIL)),
        reasoning=_most(
            _count(completion_details, "reasoning_tokens"), _count(raw, "reasoning_tokens")
        ),
    )
    cost = read_cost(raw)
    if counted.prompt is None and counted.completion is None and cost is None:
        return None
    fresh, read, write, output, reasoning = _settle(counted)
    return Usage(
        input=fresh,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning,
        input_audio=_count(prompt_details, "audio_tokens"),
        input_image=_count(prompt_details, "image_tokens"),
        output_audio=_count(completion_details, "audio_tokens"),
        output_image=_count(completion_details, "image_tokens"),
        cost_nanos=cost,
    )


def read_cost(raw: Mapping[str, Any]) -> int | None:
    """Return the provider's own charge: OpenRouter's number, Perplexity's object, xAI's ticks."""
    cost = raw.get("cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    if isinstance(cost, int | float) and 0 <= cost < _ABSURD_COST:
        return round(cost * _NANOS)
    ticks = _count(raw, "cost_in_usd_ticks")
    return None if ticks is None else round(ticks / _TICKS_PER_NANO)


def _settle(
    said: _Counted,
) -> tuple[int | None, int | None, int | None, int | None, int | None]:
    """Make the counts disjoint: fresh input, cache read, cache write, output, reasoning in it."""
    cached = (said.read or 0) + (said.write or 0)
    surplus = 0
    if said.total is not None and said.prompt is not None and said.completion is not None:
        surplus = max(0, said.total - said.prompt - said.completion)
    if surplus and surplus == cached and surplus != said.reasoning:
        return said.prompt, said.read, said.write, said.completion, said.reasoning
    output, reasoning = _with_reasoning(said, surplus)
    if said.prompt is None:
        return None, said.read, said.write, output, reasoning
    # Azure has been seen to state more cached than prompt tokens: a part cannot exceed the whole.
    write = None if said.write is None else min(said.write, said.prompt)
    read = None if said.read is None else min(said.read, said.prompt - (write or 0))
    return said.prompt - (read or 0) - (write or 0), read, write, output, reasoning


def _with_reasoning(said: _Counted, surplus: int) -> tuple[int | None, int | None]:
    """Return all output tokens and the reasoning among them."""
    completion, reasoning = said.completion, said.reasoning
    if completion is None:
        return reasoning, reasoning
    if surplus:
        # What the total counts beyond prompt and completion was generated and is billed as such.
        return completion + surplus, reasoning or surplus
    if reasoning is None:
        return completion, None
    if said.total is None and reasoning > completion:
        return completion + reasoning, reasoning
    return completion, min(reasoning, completion)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(holder: Mapping[str, Any], *names: str) -> int | None:
    """Return the largest count stated under any of the names."""
    stated = [
        count for name in names if name in holder and (count := _whole(holder[name])) is not None
    ]
    return max(stated) if stated else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value >= 0 else None


def _most(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
