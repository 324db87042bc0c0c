"""Reading of OpenAI's usage object, in every vendor's variation, as a `Usage`.

The vendors agree on `prompt_tokens` and `completion_tokens` and on little else. xAI and Google's
compatible endpoint leave reasoning out of `completion_tokens` but count it in `total_tokens`.
Databricks does the same with cache tokens in the input. Therefore the total decides.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.completion import Usage

_NANOS = 1_000_000_000
_ABSURD_COST = (
    1e9  # dollars; a larger number is no charge, and too many nano-dollars for the database
)
_A_WEEK = 7 * 24 * 3600  # seconds; no audio is longer
_TICKS_PER_NANO = 10  # xAI's `cost_in_usd_ticks`: ten billion ticks are a dollar

_READ = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens")
_READ_DETAIL = ("cached_tokens", "cache_read_tokens", "cache_read_input_tokens")
_WRITE_DETAIL = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


class _Counted(NamedTuple):
    """The numbers as stated, which may or may not contain each other."""

    prompt: int | None
    completion: int | None
    total: int | None
    read: int | None
    write: int | None
    reasoning: int | None
    audio: int | None
    is_whole: bool  # the details add up to the prompt, so it contains everything


class _Input(NamedTuple):
    """Disjoint counts of the input, except `both`: tokens that one call wrote and read."""

    fresh: int | None
    read: int | None
    write: int | None
    both: int | None = None


def find_usage(payload: Mapping[str, Any]) -> object:
    """Return the usage object of an answer or chunk.

    OpenAI's own field counts first. Moonshot's streams have it in the choice, Groq's under
    `x_groq`, others in the message or in an envelope.
    """
    if usage := payload.get("usage"):
        return usage
    choices = payload.get("choices")
    held = [each for each in choices if isinstance(each, Mapping)] if choices else []
    held += [each[name] for each in held for name in ("delta", "message") if name in each]
    held += [each for name, each in payload.items() if name not in ("choices", "error")]
    found = [each["usage"] for each in held if isinstance(each, Mapping) and each.get("usage")]
    return _add_up(found) if len(found) > 1 else next(iter(found), None)


def _add_up(found: list[Any]) -> object:
    """Return the usage of choices that count apart: one prompt, and the sum of their output."""
    counted = [each for each in found if isinstance(each, Mapping)]
    outputs = [_count(each, "completion_tokens") or 0 for each in counted]
    if not counted or all(each == counted[0] for each in counted):
        return next(iter(counted), None)
    prompt = _count(counted[0], "prompt_tokens") or 0
    total = {"completion_tokens": sum(outputs), "total_tokens": prompt + sum(outputs)}
    return {**counted[0], **total}


def read_usage(raw: object, *, reasoning_apart: bool = False) -> Usage | None:
    """Return the usage in a `usage` object, or None where it counts nothing.

    `reasoning_apart`: the vendor counts reasoning neither in `completion_tokens` nor in the total.
    """
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
        audio=_count(prompt_details, "audio_tokens"),
        is_whole=_is_whole(prompt_details, _count(raw, "prompt_tokens")),
    )
    cost = read_cost(raw)
    if counted.prompt is None and counted.completion is None and cost is None:
        return None
    if reasoning_apart:
        counted = _with_reasoning_inside(counted)
    given, output, reasoning = _settle(counted)
    return Usage(
        input=given.fresh,
        cache_read=given.read,
        cache_write=given.write,
        cache_both=given.both,
        output=output,
        reasoning=reasoning,
        input_audio=counted.audio,
        input_image=_count(prompt_details, "image_tokens"),
        input_audio_ms=_milliseconds(raw.get("prompt_audio_seconds")),
        output_audio=_count(completion_details, "audio_tokens"),
        output_image=_count(completion_details, "image_tokens"),
        searches=_searches(raw),
        cost_nanos=cost,
    )


def read_cost(raw: Mapping[str, Any]) -> int | None:
    """Return the provider's own charge in nano-dollars, or None where it states none.

    The charge is OpenRouter's number, Perplexity's object or xAI's ticks. Where OpenRouter used a
    key of the account's own (`is_byok`), `cost` is only its fee and the vendor's charge is added.
    Otherwise that charge is part of `cost`.
    """
    cost = raw.get("cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    stated = _nanos(cost)
    if raw.get("is_byok") is True:
        charged = _nanos(_mapping(raw.get("cost_details")).get("upstream_inference_cost"))
        return stated if charged is None else (stated or 0) + charged
    if stated is not None:
        return stated
    ticks = _count(raw, "cost_in_usd_ticks")
    return None if ticks is None else round(ticks / _TICKS_PER_NANO)


def _nanos(dollars: object) -> int | None:
    if isinstance(dollars, bool) or not isinstance(dollars, int | float):
        return None
    return round(dollars * _NANOS) if 0 <= dollars < _ABSURD_COST else None


def _searches(raw: Mapping[str, Any]) -> int | None:
    """Return the web searches, which OpenRouter, Perplexity and xAI bill apiece."""
    tools = _mapping(raw.get("server_tool_use"))
    return _most(
        _count(tools, "web_search_requests"), _count(raw, "num_search_queries", "num_sources_used")
    )


def _milliseconds(seconds: object) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return round(seconds * 1000) if 0 <= seconds < _A_WEEK else None


def _is_whole(details: Mapping[str, Any], prompt: int | None) -> bool:
    kinds = [_count(details, name) or 0 for name in ("text_tokens", "audio_tokens", "image_tokens")]
    return bool(prompt) and _count(details, "text_tokens") is not None and sum(kinds) == prompt


def _with_reasoning_inside(counts: _Counted) -> _Counted:
    """Return the counts with reasoning in the output and in the total, as OpenAI states them."""
    reasoning = counts.reasoning or 0
    return counts._replace(
        completion=None if counts.completion is None else counts.completion + reasoning,
        total=None if counts.total is None else counts.total + reasoning,
    )


def _settle(counts: _Counted) -> tuple[_Input, int | None, int | None]:
    """Return the input, the output, and the reasoning in it."""
    cached = (counts.read or 0) + (counts.write or 0)
    surplus = 0
    if counts.total is not None and counts.prompt is not None and counts.completion is not None:
        surplus = max(0, counts.total - counts.prompt - counts.completion)
    if surplus and surplus == cached and surplus != counts.reasoning:
        return _Input(counts.prompt, counts.read, counts.write), counts.completion, counts.reasoning
    if (
        surplus and surplus == counts.audio and surplus != counts.reasoning
    ):  # Mistral: audio is input
        counts = counts._replace(prompt=(counts.prompt or 0) + surplus)
        surplus = 0
    return _input(counts), *_with_reasoning(counts, surplus)


def _input(counts: _Counted) -> _Input:
    """Separate fresh tokens from cached ones.

    A part is not larger than its whole. So if more was read from the cache than the prompt has, the
    cache is counted beside the prompt, as Anthropic counts. If more was written than is left, it
    was also read: one call writes and reads Google's caches.
    """
    if counts.prompt is None:
        return _Input(None, counts.read, counts.write)
    read, write = counts.read or 0, counts.write or 0
    if read > counts.prompt and counts.is_whole:  # seen at Azure
        return _Input(0, counts.prompt, 0 if counts.write is not None else None)
    if read > counts.prompt:
        return _Input(counts.prompt, counts.read, counts.write)
    if read + write > counts.prompt:
        return _Input(counts.prompt - read, counts.read, counts.write, both=write)
    return _Input(counts.prompt - read - write, counts.read, counts.write)


def _with_reasoning(counts: _Counted, surplus: int) -> tuple[int | None, int | None]:
    """Return all output tokens and the reasoning among them."""
    completion, reasoning = counts.completion, counts.reasoning
    if completion is None:
        return reasoning, reasoning
    if surplus:
        # Tokens of the total beyond prompt and completion were generated, and are billed so.
        return completion + surplus, reasoning or surplus
    if reasoning is None:
        return completion, None
    if counts.total is None and reasoning > completion:
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
