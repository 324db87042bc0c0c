"""Estimate the usage of a call: the likely usage, and an upper bound. Pure."""

from dataclasses import replace
from functools import lru_cache

from broker.completion import Json, Usage
from broker.pricing.costs import cost
from broker.pricing.price import Price
from broker.requests.content_sizes import Range, Sent, measure
from broker.requests.image_models import TIERS, read_pixels
from broker.requests.operations import PICTURES, WITHOUT_OUTPUT, Operation
from broker.requests.token_estimates import (
    LIKELY_IMAGE_TOKENS,
    count_answers,
    estimate_sound_tokens,
    estimate_tokens_read,
    max_image_tokens,
    max_input_tokens,
    max_sound_tokens,
    output_limit,
)
from broker.values import immutable

MIN_REASONING_TOKENS = 1_024
"""The smallest reasoning budget of some vendors, besides the requested output."""

LIKELY_PICTURE_TOKENS = 1_100  # one picture made
MOST_PICTURE_TOKENS = 6_300  # OpenAI's at high quality, up to `USUAL_PIXELS`
USUAL_PIXELS = 1536 * 1024
QUALITY_FACTORS = {"xhigh": 2, "max": 4}  # of the tokens at high quality, at most
MOST_PARTIAL_TOKENS = 100  # of a partial image (OpenAI, "Image generation", "Partial images cost")
MOST_PICTURES = 4  # in an answer of a chat
SPEECH_TOKENS_PER_CHARACTER = 1.5
MOST_SPEECH_TOKENS_PER_CHARACTER = 3
TRANSCRIPTION_TOKENS = Range(4, 10)  # of a transcription, for a second of sound
DOCUMENTS_PER_REQUEST = 100  # of a rerank: Cohere's search unit
WHOLE = 100  # per cent
NOTHING = Price()
DOCUMENT_TOKENS = 500  # a longer document counts as several


@immutable
class AnswerBounds:
    """The expected and the largest answer; the largest is the endpoint's maximum or a setting."""

    likely: int  # output tokens of an answer without a limit
    most: int  # the maximum of these
    native_model: str = ""
    makes_pictures: bool = False
    draws_pages: bool = False  # pages of documents may be sent as images


@immutable
class Demand:
    """The likely and the largest consumption of a call."""

    likely: Usage
    most: Usage
    service_tier: str | None = None
    caches_an_hour: bool = False
    quality: str | None = None  # of the pictures to make, and their size
    size: str | None = None


def estimate_demand(body: Json, operation: Operation, sent: Sent, limits: AnswerBounds) -> Demand:
    """Return the likely and the highest consumption of a call at an endpoint with these bounds."""
    output = _estimate_output(body, operation, sent, limits)
    pictures = _estimate_pictures(body, operation, limits)
    text = body.get("input")
    characters = len(text) if operation is Operation.SPEECH and isinstance(text, str) else 0
    requests = _estimate_requests(body, operation)
    drawn = sent.pages.most if limits.draws_pages else 0
    images = Range(sent.images, sent.images + drawn)
    count = count_answers(body)

    def usage(index: int, inputs: int, sound: int, image: int) -> Usage:
        return Usage(
            input=inputs,
            output=output[index],
            input_audio=sound or None,
            input_image=image or None,
            output_audio=output[index] if _has_audio_output(body, operation) else None,
            output_image=output[index] if pictures[index] else None,
            input_audio_ms=sent.milliseconds[index],
            input_characters=characters,
            input_images=images[index],
            input_pages=sent.pages[index],
            output_images=pictures[index],
            searches=sent.searches[index] * count,
            requests=requests[index],
        )

    tier = body.get("service_tier")
    return Demand(
        usage(
            0,
            estimate_tokens_read(sent),
            estimate_sound_tokens(sent),
            sent.images * LIKELY_IMAGE_TOKENS,
        ),
        usage(
            1,
            max_input_tokens(sent, limits.native_model),
            max_sound_tokens(sent),
            max_image_tokens(sent, limits.native_model),
        ),
        tier if isinstance(tier, str) else None,
        sent.caches_an_hour,
        *read_picture_kind(body),
    )


def read_picture_kind(body: Json) -> tuple[str | None, str | None]:
    """Return the quality and the size of pictures that a body requests."""
    quality, size = body.get("quality"), body.get("size")
    return (
        quality if isinstance(quality, str) else None,
        size if isinstance(size, str) else None,
    )


def describe_usage(usage: Usage, source: str) -> str:
    """Describe a call's consumption for people; `source` names the source of the output tokens."""
    parts = [f"{usage.input:,} input tokens"] if usage.input else []
    parts += [f"{usage.output:,} output tokens ({source})"] if usage.output else []
    pieces = {
        "characters": usage.input_characters,
        "pictures sent": usage.input_images,
        "pictures made": usage.output_images,
        "seconds of sound": -(-(usage.input_audio_ms or 0) // 1000),
        "pages": usage.input_pages,
        "searches": usage.searches,
    }
    parts += [f"{count:,} {name}" for name, count in pieces.items() if count]
    return "about " + " and ".join(parts)


def compute_likely_cost(price: Price, expected: Demand) -> int:
    """Return the probable cost, in the requested tier if that costs more."""
    tier = expected.service_tier
    expensive_tier = tier if tier != "auto" and price.percent(tier) > WHOLE else None
    price = price.of_picture(expected.quality, expected.size)
    return cost(price, expected.likely, tier=expensive_tier)


def compute_max_cost(price: Price, expected: Demand) -> int:
    """Return an upper bound of the cost: each token at its highest possible price."""
    usage = expected.most
    price = price.of_highest_rate(expected.quality, expected.size)
    rates = [price, *(t.price for t in price.tiers if t.min_prompt_tokens <= (usage.input or 0))]
    requested = expected.service_tier
    tier = "priority" if requested == "auto" else requested
    expensive_tier = tier if price.percent(tier) > WHOLE else None
    tokens = max(
        cost(
            _find_highest_rates(price, each, caches_an_hour=expected.caches_an_hour),
            usage,
            tier=expensive_tier,
        )
        for each in rates
    )
    if not price.audio_hour or not usage.input_audio_ms:
        return tokens
    by_the_hour = replace(NOTHING, audio_hour=price.audio_hour)  # tokens of the sound are above
    return tokens + cost(by_the_hour, Usage(input_audio_ms=usage.input_audio_ms))


@lru_cache(maxsize=4_096)
def _find_highest_rates(price: Price, rates: Price, *, caches_an_hour: bool) -> Price:
    """Return rates of a price at which each kind of token has its highest possible price.

    The shares of service tiers are those of the price.
    """
    cache_writes = [rates.cache_write or 0, (rates.cache_write_1h or 0) if caches_an_hour else 0]
    inputs = max(rates.prompt, rates.cache_read or 0, *cache_writes)
    output = max(rates.completion, rates.reasoning or 0)
    return Price(
        prompt=inputs,
        completion=output,
        audio=max(inputs, rates.audio or 0),
        image_token=max(inputs, rates.image_token or 0),
        audio_output=max(output, rates.audio_output or 0),
        image_output_token=max(output, rates.image_output_token or 0),
        request=rates.request,
        image=rates.image,
        image_output=rates.image_output,
        characters=rates.characters,
        page=rates.page,
        web_search=rates.web_search,
        batch_discount=price.batch_discount,
        flex_percent=price.flex_percent,
        priority_percent=price.priority_percent,
    )


def _estimate_output(body: Json, operation: Operation, sent: Sent, limits: AnswerBounds) -> Range:
    if operation in WITHOUT_OUTPUT:
        return Range()
    if operation is Operation.SPEECH:
        return estimate_speech_tokens(body)
    if operation is Operation.TRANSCRIPTIONS:
        seconds = Range(*(each // 1000 + 1 for each in sent.milliseconds))
        return Range(
            seconds.likely * TRANSCRIPTION_TOKENS.likely, seconds.most * TRANSCRIPTION_TOKENS.most
        )
    count = count_answers(body)
    if operation in PICTURES:
        return Range(count * LIKELY_PICTURE_TOKENS, count * _find_most_picture_tokens(body))
    limit = output_limit(body)
    likely = limits.likely if limit is None else limit
    most = limits.most if limit is None else limit + _find_reasoning(body)
    return Range(min(likely, most) * count, most * count)


def _find_most_picture_tokens(body: Json) -> int:
    """Return the most tokens of one picture: they grow with its area and its quality."""
    size = read_pixels(body.get("size"))
    tiers = [TIERS[name] for key in ("size", "resolution") if (name := body.get(key)) in TIERS]
    side = max(tiers, default=0)
    pixels = max(size[0] * size[1] if size else 0, side * side, USUAL_PIXELS)
    shares = -(-pixels // USUAL_PIXELS) * QUALITY_FACTORS.get(str(body.get("quality")), 1)
    partial = body.get("partial_images")
    return shares * MOST_PICTURE_TOKENS + (
        MOST_PARTIAL_TOKENS * partial if isinstance(partial, int) else 0
    )


def estimate_speech_tokens(body: Json) -> Range:
    """Return the estimated audio tokens of a text to speak; no vendor states them."""
    text = body.get("input")
    length = len(text) if isinstance(text, str) else 0
    return Range(
        round(length * SPEECH_TOKENS_PER_CHARACTER), length * MOST_SPEECH_TOKENS_PER_CHARACTER
    )


def _find_reasoning(body: Json) -> int:
    """Return the reasoning tokens that may be added to the requested output, if any."""
    reasoning = body.get("reasoning")
    if not reasoning and not body.get("reasoning_effort") and not body.get("thinking"):
        return 0
    requested = reasoning.get("max_tokens") if isinstance(reasoning, dict) else None
    budget = requested if isinstance(requested, int) else 0
    return max(MIN_REASONING_TOKENS, budget)


def _has_audio_output(body: Json, operation: Operation) -> bool:
    modalities = body.get("modalities")
    return operation is Operation.SPEECH or (isinstance(modalities, list) and "audio" in modalities)


def _estimate_pictures(body: Json, operation: Operation, limits: AnswerBounds) -> Range:
    if operation in PICTURES:
        return Range(count_answers(body), count_answers(body))
    if operation is not Operation.CHAT or not limits.makes_pictures:
        return Range()
    return Range(count_answers(body), count_answers(body) * MOST_PICTURES)


def _estimate_requests(body: Json, operation: Operation) -> Range:
    """Return the number of billed requests: a rerank of many documents counts as several."""
    documents = body.get("documents")
    if operation is not Operation.RERANK or not isinstance(documents, list):
        return Range(1, 1)
    sizes = [measure({"document": each}).text_bytes for each in documents]
    parts = Range(
        sum(size // (4 * DOCUMENT_TOKENS) + 1 for size in sizes),
        sum(size // DOCUMENT_TOKENS + 1 for size in sizes),
    )
    return Range(*(max(1, -(-each // DOCUMENTS_PER_REQUEST)) for each in parts))
