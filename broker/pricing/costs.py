"""Compute the cost of a call, and render prices in OpenRouter's form."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from broker.completion import Completion, Json, Usage
from broker.money import usd_text
from broker.pricing.price import Price

MILLION = 1_000_000
MS_PER_HOUR = 3_600_000


def quote(price: Price, *, input_tokens: int, output_tokens: int) -> int:
    """Return the cost of a call of plain tokens without cached input, in nano-dollars; see `cost`.

    Every plan step is quoted, so this is a shortcut.
    """
    if price.as_stated:
        return 0
    rates = price.at(input_tokens)
    tokens = input_tokens * rates.prompt + output_tokens * rates.completion
    return (tokens + MILLION // 2) // MILLION + rates.request


def cost(price: Price, usage: Usage, *, tier: str | None = None) -> int:
    """Return the nano-dollars that `usage` costs at `price`, in the tier that served the call.

    Every token is counted once: a part (cached for an hour, audio, image, reasoning) is subtracted
    from its whole, and is never larger than it. Billed counts of the provider have precedence over
    measured ones. Searches cost the same in every tier.
    """
    if price.as_stated:
        return usage.cost_nanos or 0
    rates = price.at(usage.prompt_tokens)
    tokens = sum(count * rate for count, rate in _list_tokens(rates, usage))
    tokens += (usage.input_characters or 0) * rates.characters  # by the million, as tokens
    pieces = (
        (usage.input_images or 0) * rates.image
        + (usage.output_images or 0) * rates.image_output
        + (usage.input_pages or 0) * rates.page
        + (1 if usage.requests is None else usage.requests) * rates.request
    )
    sound = (usage.input_audio_ms or 0) * rates.audio_hour
    exact = tokens * MS_PER_HOUR + sound * MILLION + pieces * MILLION * MS_PER_HOUR
    whole = MILLION * MS_PER_HOUR * 100
    return (exact * price.percent(tier) + whole // 2) // whole + search_cost(price, usage)


def search_cost(price: Price, usage: Usage) -> int:
    """Return the cost of the vendor's own web searches."""
    return 0 if price.as_stated else (usage.searches or 0) * (price.web_search or 0)


def charge(price: Price, usage: Usage, completion: Completion, *, tier: str | None = None) -> int:
    """Return the amount that the caller pays: the cost, or 0 for an empty answer.

    OpenRouter's zero-completion insurance: no output (tokens or pictures) and a blank finish
    reason, or a finish reason of `error`, cost nothing.
    """
    reasons = {choice.get("finish_reason") for choice in completion.choices}
    empty = not (usage.completion_tokens or usage.output_images or any(reasons))
    return 0 if empty or reasons == {"error"} else cost(price, usage, tier=tier)


def byok_fee(nanos: int, percent: str) -> int:
    """Return the fee for a call with a workspace credential that costs `nanos` at the provider."""
    return int((Decimal(nanos) * Decimal(percent) / 100).quantize(Decimal(1), ROUND_HALF_UP))


def _list_tokens(rates: Price, usage: Usage) -> Iterator[tuple[int, int]]:
    """Yield (tokens, rate) of parts that do not overlap and together are all tokens."""
    if usage.billed_input is not None:
        yield usage.billed_input, rates.prompt
        yield _default(usage.billed_output, usage.output or 0), rates.completion
        return
    is_by_hour = bool(rates.audio_hour and usage.input_audio_ms)  # sound is paid by its length
    write = _default(rates.cache_write, rates.prompt)
    yield usage.cache_read or 0, _default(rates.cache_read, rates.prompt)
    yield from _split(
        usage.cache_write, write, [(usage.cache_write_1h, _default(rates.cache_write_1h, write))]
    )
    yield from _split(
        usage.input,
        rates.prompt,
        [
            (usage.input_audio, 0 if is_by_hour else _default(rates.audio, rates.prompt)),
            (usage.input_image, _default(rates.image_token, rates.prompt)),
        ],
    )
    yield from _split(
        usage.output,
        rates.completion,
        [
            (usage.output_audio, _default(rates.audio_output, rates.completion)),
            (usage.output_image, _default(rates.image_output_token, rates.completion)),
            (usage.reasoning, _default(rates.reasoning, rates.completion)),
        ],
    )


def _split(
    whole: int | None, rate: int, parts: list[tuple[int | None, int]]
) -> Iterator[tuple[int, int]]:
    """Yield each part at its own rate, then the rest at the rate of the whole."""
    rest = whole or 0
    for count, part_rate in parts:
        part = min(count or 0, rest)
        rest -= part
        yield part, part_rate
    yield rest, rate


def _default(part_rate: int | None, default: int) -> int:
    return default if part_rate is None else part_rate


REQUIRED_PRICES = {"prompt": "prompt", "completion": "completion"}
OPTIONAL_PRICES = {
    "internal_reasoning": "reasoning",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "audio": "audio",
    "audio_output": "audio_output",
    "image_token": "image_token",
}
"""OpenRouter's names of prices per token; its `image_output` is a price per picture."""


def render_prices(price: Price) -> Json:
    """Return the prices under OpenRouter's names, each in US dollars per token, picture or call.

    Items without a price of their own are omitted. `overrides` are the prices of long prompts.
    """
    shown = {
        **_per_token(price),
        "request": usd_text(price.request),
        "image": usd_text(price.image),
    }
    if price.web_search:
        shown["web_search"] = usd_text(price.web_search)
    if price.image_output:
        shown["image_output"] = usd_text(price.image_output)
    if price.tiers:
        shown["overrides"] = [
            {"min_prompt_tokens": tier.min_prompt_tokens, **_per_token(tier.price)}
            for tier in price.tiers
        ]
    return shown


def _per_token(price: Price) -> Json:
    part_rate = {
        shown: getattr(price, name) for shown, name in (REQUIRED_PRICES | OPTIONAL_PRICES).items()
    }
    return {
        name: usd_text(Decimal(nanos) / MILLION)
        for name, nanos in part_rate.items()
        if nanos is not None
    }
