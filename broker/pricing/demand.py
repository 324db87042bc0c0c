"""Estimate the usage of a call: the likely usage, and an upper bound. Pure."""

from dataclasses import dataclass, replace

from broker.completion import Json, Usage
from broker.pricing.costs import cost
from broker.pricing.price import Price
from broker.requests.content_sizes import Range, Sent, measure
from broker.requests.operations import WITHOUT_OUTPUT, Operation
from broker.requests.token_estimates import (
    LIKELY_IMAGE_TOKENS,
    answers,
    likely_input_tokens,
    likely_sound_tokens,
    most_image_tokens,
    most_input_tokens,
    most_sound_tokens,
    output_limit,
)

LEAST_REASONING_TOKENS = 1_024
"""The least reasoning budget of some vendors, beside the requested output."""

LIKELY_PICTURE_TOKENS = 1_100  # one picture made
MOST_PICTURE_TOKENS = 6_300  # OpenAI's largest
MOST_PICTURES = 4  # in an answer of a chat
SPEECH_TOKENS_PER_CHARACTER = 1.5
MOST_SPEECH_TOKENS_PER_CHARACTER = 3
SPOKEN_TOKENS = Range(4, 10)  # of a transcription, for a second of sound
DOCUMENTS_PER_REQUEST = 100  # of a rerank: Cohere's search unit
WHOLE = 100  # per cent
NOTHING = Price()
DOCUMENT_TOKENS = 500  # a longer document counts as several


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """The bounds of an answer: the endpoint's own maximum, else the one in the settings."""

    likely: int  # output tokens of an answer whose body does not say
    most: int  # likewise, at most
    native_model: str = ""
    makes_pictures: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """The most that a call may consume, in each unit of price."""

    likely: Usage
    most: Usage
    service_tier: str | None = None
    caches_an_hour: bool = False


def demand(body: Json, operation: Operation, sent: Sent, limits: AnswerBounds) -> Demand:
    """Return the likely and the highest consumption of a call at an endpoint with these bounds."""
    output = _output(body, operation, sent, limits)
    pictures = _pictures(body, operation, limits)
    spoken = body.get("input")
    characters = len(spoken) if operation is Operation.SPEECH and isinstance(spoken, str) else 0
    requests = _requests(body, operation)
    many = answers(body)

    def usage(which: int, given: int, sound: int, image: int) -> Usage:
        return Usage(
            input=given,
            output=output[which],
            input_audio=sound or None,
            input_image=image or None,
            output_audio=output[which] if _speaks(body, operation) else None,
            output_image=output[which] if pictures[which] else None,
            input_audio_ms=sent.milliseconds[which],
            input_characters=characters,
            input_images=sent.images,
            input_pages=sent.pages[which],
            output_images=pictures[which],
            searches=sent.searches[which] * many,
            requests=requests[which],
        )

    tier = body.get("service_tier")
    return Demand(
        usage(
            0,
            likely_input_tokens(sent),
            likely_sound_tokens(sent),
            sent.images * LIKELY_IMAGE_TOKENS,
        ),
        usage(
            1,
            most_input_tokens(sent, limits.native_model),
            most_sound_tokens(sent),
            most_image_tokens(sent, limits.native_model),
        ),
        tier if isinstance(tier, str) else None,
        sent.caches_an_hour,
    )


def describe(usage: Usage, why: str) -> str:
    """Describe a call's consumption for people; `why` names the source of the output tokens."""
    told = [f"{usage.input:,} input tokens"] if usage.input else []
    told += [f"{usage.output:,} output tokens ({why})"] if usage.output else []
    pieces = {
        "characters": usage.input_characters,
        "pictures sent": usage.input_images,
        "pictures made": usage.output_images,
        "seconds of sound": -(-(usage.input_audio_ms or 0) // 1000),
        "pages": usage.input_pages,
        "searches": usage.searches,
    }
    told += [f"{count:,} {name}" for name, count in pieces.items() if count]
    return "about " + " and ".join(told)


def likely_cost(price: Price, expected: Demand) -> int:
    """Return what the call probably costs, at most in the tier that it asks for."""
    tier = expected.service_tier
    dearer = tier if tier != "auto" and price.percent(tier) > WHOLE else None
    return cost(price, expected.likely, tier=dearer)


def most_cost(price: Price, expected: Demand) -> int:
    """Return a bound of what the call costs: every token at the highest price that it may have."""
    usage = expected.most
    rates = [price, *(t.price for t in price.tiers if t.min_prompt_tokens <= (usage.input or 0))]
    asked = expected.service_tier
    tier = "priority" if asked == "auto" else asked
    dearer = tier if price.percent(tier) > WHOLE else None
    tokens = max(
        cost(
            _at_shares_of(price, _highest_rates(each, caches_an_hour=expected.caches_an_hour)),
            usage,
            tier=dearer,
        )
        for each in rates
    )
    by_the_hour = replace(NOTHING, audio_hour=price.audio_hour)  # tokens of the sound are above
    return tokens + cost(by_the_hour, Usage(input_audio_ms=usage.input_audio_ms))


def _at_shares_of(price: Price, rates: Price) -> Price:
    """Return rates with the shares of service tiers that the whole price states."""
    return replace(
        rates,
        flex_percent=price.flex_percent,
        priority_percent=price.priority_percent,
        batch_discount=price.batch_discount,
    )


def _highest_rates(rates: Price, *, caches_an_hour: bool) -> Price:
    """Return prices at which no kind of token is cheaper than what it may turn out to be."""
    written = [rates.cache_write or 0, (rates.cache_write_1h or 0) if caches_an_hour else 0]
    given = max(rates.prompt, rates.cache_read or 0, *written)
    output = max(rates.completion, rates.reasoning or 0)
    return Price(
        prompt=given,
        completion=output,
        audio=max(given, rates.audio or 0),
        image_token=max(given, rates.image_token or 0),
        audio_output=max(output, rates.audio_output or 0),
        image_output_token=max(output, rates.image_output_token or 0),
        request=rates.request,
        image=rates.image,
        image_output=rates.image_output,
        characters=rates.characters,
        page=rates.page,
        web_search=rates.web_search,
        batch_discount=rates.batch_discount,
        flex_percent=rates.flex_percent,
        priority_percent=rates.priority_percent,
    )


def _output(body: Json, operation: Operation, sent: Sent, limits: AnswerBounds) -> Range:
    if operation in WITHOUT_OUTPUT:
        return Range()
    if operation is Operation.SPEECH:
        return speech_tokens(body)
    if operation is Operation.TRANSCRIPTIONS:
        seconds = Range(*(each // 1000 + 1 for each in sent.milliseconds))
        return Range(seconds.likely * SPOKEN_TOKENS.likely, seconds.most * SPOKEN_TOKENS.most)
    many = answers(body)
    if operation is Operation.IMAGES:
        return Range(many * LIKELY_PICTURE_TOKENS, many * MOST_PICTURE_TOKENS)
    limit = output_limit(body)
    likely = limits.likely if limit is None else limit
    most = limits.most if limit is None else limit + _reasoning(body)
    return Range(min(likely, most) * many, most * many)


def speech_tokens(body: Json) -> Range:
    """Return the tokens of sound that a text to speak becomes: no vendor states them."""
    spoken = body.get("input")
    length = len(spoken) if isinstance(spoken, str) else 0
    return Range(
        round(length * SPEECH_TOKENS_PER_CHARACTER), length * MOST_SPEECH_TOKENS_PER_CHARACTER
    )


def _reasoning(body: Json) -> int:
    """Return the reasoning that may come on top of what is asked for, where any is asked for."""
    reasoning = body.get("reasoning")
    if not reasoning and not body.get("reasoning_effort") and not body.get("thinking"):
        return 0
    asked = reasoning.get("max_tokens") if isinstance(reasoning, dict) else None
    budget = asked if isinstance(asked, int) else 0
    return max(LEAST_REASONING_TOKENS, budget)


def _speaks(body: Json, operation: Operation) -> bool:
    wanted = body.get("modalities")
    return operation is Operation.SPEECH or (isinstance(wanted, list) and "audio" in wanted)


def _pictures(body: Json, operation: Operation, limits: AnswerBounds) -> Range:
    if operation is Operation.IMAGES:
        return Range(answers(body), answers(body))
    if operation is not Operation.CHAT or not limits.makes_pictures:
        return Range()
    return Range(answers(body), answers(body) * MOST_PICTURES)


def _requests(body: Json, operation: Operation) -> Range:
    """Return how many requests a call is billed as: a rerank of many documents is several."""
    documents = body.get("documents")
    if operation is not Operation.RERANK or not isinstance(documents, list):
        return Range(1, 1)
    sizes = [measure({"document": each}).text_bytes for each in documents]
    parts = Range(
        sum(size // (4 * DOCUMENT_TOKENS) + 1 for size in sizes),
        sum(size // DOCUMENT_TOKENS + 1 for size in sizes),
    )
    return Range(*(max(1, -(-each // DOCUMENTS_PER_REQUEST)) for each in parts))
