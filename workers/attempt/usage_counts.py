"""Count what an answer consumed, where the provider does not say or says what cannot be."""

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

MOST_TOKENS = 1_000_000_000
MOST_PIECES = 10_000
MOST_CHARACTERS = 1_000_000_000
A_WEEK_MS = 7 * 24 * 3_600_000
MOST_NANOS = 10**18
"""A billion US dollars: no call costs as much, and the databases' integers hold it."""

WHOLES = {
    "input": MOST_TOKENS,
    "cache_read": MOST_TOKENS,
    "cache_write": MOST_TOKENS,
    "cache_both": MOST_TOKENS,
    "output": MOST_TOKENS,
    "reasoning": MOST_TOKENS,
    "billed_input": MOST_TOKENS,
    "billed_output": MOST_TOKENS,
}
"""The largest credible value of each count that the others depend on."""

DETAILS = {
    "cache_write_1h": MOST_TOKENS,
    "input_audio": MOST_TOKENS,
    "input_image": MOST_TOKENS,
    "output_audio": MOST_TOKENS,
    "output_image": MOST_TOKENS,
    "input_audio_ms": A_WEEK_MS,
    "input_pages": MOST_PIECES,
    "input_characters": MOST_CHARACTERS,
    "input_images": MOST_PIECES,
    "output_images": MOST_PIECES,
    "searches": MOST_PIECES,
    "requests": MOST_PIECES,
    "cost_nanos": MOST_NANOS,
}
"""The largest credible value of each count that can be left out alone."""

log = structlog.get_logger()


def credible(usage: Usage | None) -> Usage | None:
    """Return what can be true of a provider's statement; None where its token counts cannot be.

    A single incredible detail is left out: it then counts as not stated.
    """
    if usage is None:
        return None
    wrong = [name for name, most in (WHOLES | DETAILS).items() if not _is_within(usage, name, most)]
    if not wrong:
        return usage
    log.warning("usage.incredible", ignored=wrong)
    if not WHOLES.keys().isdisjoint(wrong):
        return None
    unstated: dict[str, Any] = dict.fromkeys(wrong)
    return replace(usage, **unstated)


def _is_within(usage: Usage, name: str, most: int) -> bool:
    count = getattr(usage, name)
    return count is None or (type(count) is int and 0 <= count <= most)


def counts_nothing(usage: Usage, answer: Completion | Document) -> bool:
    """Return whether a provider counts no tokens at all for an answer that has text."""
    counted = (usage.prompt_tokens, usage.completion_tokens, usage.cost_nanos, usage.input_audio_ms)
    return not any(counted) and any(_texts(answer))


def estimate(request: CompletionRequest, answer: Completion | Document) -> Usage:
    """Count what the provider did not: about four characters a token."""
    said = sum(len(text) for text in _texts(answer))
    usage = Usage(
        input=token_estimates.estimate_input_tokens(request.body),
        output=said // token_estimates.CHARACTERS_PER_TOKEN,
        estimated=True,
    )
    if isinstance(answer, Completion):
        return usage
    sound = token_estimates.estimate_sound_tokens(measure(request.body))
    if any(each.media_type.startswith("audio/") for each in answer.media):
        spoken = pricing.estimate_speech_tokens(request.body).likely
        return replace(usage, output=spoken, output_audio=spoken)
    made = _made(answer) * pricing.LIKELY_PICTURE_TOKENS
    return replace(
        usage,
        output=(usage.output or 0) + made,
        output_image=made or None,
        input_audio=sound or None,
    )


def completed_usage(request: CompletionRequest, part: Completion) -> Completion:
    """Return part of an answer with the output that its provider had not counted yet.

    A provider states the input at the beginning of a stream, and the output at its end.
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
    """Count what has a price by the piece: pictures sent and made, characters, sound, pages."""
    if price.image or price.image_output:
        sent = measure(request.body)
        usage = replace(usage, input_images=sent.images, output_images=_made(answer))
    if price.characters:
        spoken = request.body.get("input")
        length = len(spoken) if isinstance(spoken, str) else 0
        usage = replace(usage, input_characters=length)
    is_heard = usage.input_audio_ms is not None or (usage.input_audio and not usage.estimated)
    if price.audio_hour and not is_heard:
        length = measure(request.body).milliseconds.likely
        usage = replace(usage, input_audio_ms=length or None)
    if price.page and usage.input_pages is None:
        usage = replace(usage, input_pages=measure(request.body).pages.likely)
    if price.web_search and usage.searches is None and "web_search_options" in request.body:
        usage = replace(usage, searches=1)  # OpenAI's search models search once, and do not tell
    return usage


def _made(answer: Completion | Document) -> int:
    """Return how many pictures an answer holds."""
    if isinstance(answer, Document):
        return sum(each.media_type.startswith("image/") for each in answer.media)
    return sum(len(choice["message"].get("images") or ()) for choice in answer.choices)


def _texts(answer: Completion | Document) -> Iterator[str]:
    """Yield what an answer says; a tool call is written by the model, too."""
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
