"""The usage of an answer, if the provider states none or an impossible one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import structlog

from broker import pricing
from broker.completion import Completion, CompletionRequest, Document, Json, Usage
from broker.pricing import Price
from broker.requests import token_estimates
from broker.requests.content_sizes import measure
from workers.upstream.assembly import TEXTS

MAX_TOKENS = 1_000_000_000
MAX_PIECES = 10_000
MAX_CHARACTERS = 1_000_000_000
WEEK_MS = 7 * 24 * 3_600_000
MOST_NANOS = 10**18
"""A billion US dollars. No call costs as much, and it fits the integers of the databases."""

TOTALS = {
    "input": MAX_TOKENS,
    "cache_read": MAX_TOKENS,
    "cache_write": MAX_TOKENS,
    "cache_both": MAX_TOKENS,
    "output": MAX_TOKENS,
    "reasoning": MAX_TOKENS,
    "billed_input": MAX_TOKENS,
    "billed_output": MAX_TOKENS,
}
"""The largest credible value of each count on which other counts depend."""

DETAILS = {
    "cache_write_1h": MAX_TOKENS,
    "input_audio": MAX_TOKENS,
    "input_image": MAX_TOKENS,
    "output_audio": MAX_TOKENS,
    "output_image": MAX_TOKENS,
    "input_audio_ms": WEEK_MS,
    "input_pages": MAX_PIECES,
    "input_characters": MAX_CHARACTERS,
    "input_images": MAX_PIECES,
    "output_images": MAX_PIECES,
    "searches": MAX_PIECES,
    "requests": MAX_PIECES,
    "cost_nanos": MOST_NANOS,
}
"""The largest credible value of each count that can be ignored alone."""

log = structlog.get_logger()


def credible(usage: Usage | None) -> Usage | None:
    """Return the credible part of a provider's usage, or None if its token counts are impossible.

    A single impossible detail is ignored.
    """
    if usage is None:
        return None
    wrong = [name for name, most in (TOTALS | DETAILS).items() if not _is_within(usage, name, most)]
    if not wrong:
        return usage
    log.warning("usage.incredible", ignored=wrong)
    if not TOTALS.keys().isdisjoint(wrong):
        return None
    unstated: dict[str, Any] = dict.fromkeys(wrong)
    return replace(usage, **unstated)


def _is_within(usage: Usage, name: str, most: int) -> bool:
    count = getattr(usage, name)
    return count is None or (type(count) is int and 0 <= count <= most)


def counts_nothing(usage: Usage, answer: Completion | Document) -> bool:
    """Return whether a provider states no tokens for an answer that has text."""
    counted = (usage.prompt_tokens, usage.completion_tokens, usage.cost_nanos, usage.input_audio_ms)
    return not any(counted) and any(_texts(answer))


def estimate(request: CompletionRequest, answer: Completion | Document) -> Usage:
    """Return an estimate of the usage, with about four characters per token."""
    characters = sum(len(text) for text in _texts(answer))
    usage = Usage(
        input=token_estimates.estimate_input_tokens(request.body),
        output=characters // token_estimates.CHARACTERS_PER_TOKEN,
        estimated=True,
    )
    if isinstance(answer, Completion):
        return usage
    audio_tokens = token_estimates.estimate_sound_tokens(measure(request.body))
    if any(each.media_type.startswith("audio/") for each in answer.media):
        speech = pricing.estimate_speech_tokens(request.body).likely
        return replace(usage, output=speech, output_audio=speech)
    picture_tokens = _count_pictures(answer) * pricing.LIKELY_PICTURE_TOKENS
    return replace(
        usage,
        output=(usage.output or 0) + picture_tokens,
        output_image=picture_tokens or None,
        input_audio=audio_tokens or None,
    )


def completed_usage(request: CompletionRequest, part: Completion) -> Completion:
    """Return a part of an answer with an estimate of the output that is not counted yet.

    Providers state the input at the beginning of a stream, and the output at its end.
    """
    if part.usage is None:
        return part
    written = estimate(request, part).output or 0
    if written <= (part.usage.output or 0):
        return part
    return replace(part, usage=replace(part.usage, output=written, estimated=True))


def with_pieces(
    usage: Usage, request: CompletionRequest, answer: Completion | Document, price: Price
) -> Usage:
    """Return the usage with counts of pictures, characters, audio and pages that have a price."""
    if price.image or price.image_output:
        sent = measure(request.body)
        usage = replace(usage, input_images=sent.images, output_images=_count_pictures(answer))
    if price.characters:
        text = request.body.get("input")
        length = len(text) if isinstance(text, str) else 0
        usage = replace(usage, input_characters=length)
    has_audio = usage.input_audio_ms is not None or (usage.input_audio and not usage.estimated)
    if price.audio_hour and not has_audio:
        length = measure(request.body).milliseconds.likely
        usage = replace(usage, input_audio_ms=length or None)
    if price.page and usage.input_pages is None:
        usage = replace(usage, input_pages=measure(request.body).pages.likely)
    if price.web_search and usage.searches is None and "web_search_options" in request.body:
        usage = replace(usage, searches=1)  # OpenAI's search models search once and do not state it
    return usage


def find_picture_kind(
    request: CompletionRequest, answer: Completion | Document
) -> tuple[str | None, str | None]:
    """Return the quality and the size of the pictures of an answer, as far as they are known.

    The caller's choice counts; where the vendor chose, its answer says what.
    """
    requested = pricing.read_picture_kind(request.body)
    stated = pricing.read_picture_kind(answer.body) if isinstance(answer, Document) else requested
    quality, size = (
        made if wanted in (None, "auto") else wanted
        for wanted, made in zip(requested, stated, strict=True)
    )
    return quality, size


def _count_pictures(answer: Completion | Document) -> int:
    """Return the number of pictures in an answer."""
    if isinstance(answer, Document):
        pictures = sum(each.media_type.startswith("image/") for each in answer.media)
        data = answer.body.get("data")
        links = [each for each in data if "url" in each] if isinstance(data, list) else []
        return pictures + len(links)
    return sum(len(choice["message"].get("images") or ()) for choice in answer.choices)


def _texts(answer: Completion | Document) -> Iterator[str]:
    """Yield the texts of an answer, including those of tool calls."""
    if isinstance(answer, Document):
        choices = answer.body.get("choices")
        holders = [answer.body, *(choices if isinstance(choices, list) else ())]
        found: list[Any] = [each.get("text") for each in holders if isinstance(each, dict)]
    else:
        found = [text for choice in answer.choices for text in _written(choice["message"])]
    yield from (text for text in found if isinstance(text, str) and text)


def _written(message: Json) -> list[Any]:
    texts = [message.get(name) for name in TEXTS]
    for call in message.get("tool_calls") or ():
        texts += (call.get("function") or call.get("custom") or {}).values()
    texts.append((message.get("audio") or {}).get("transcript"))
    return texts
