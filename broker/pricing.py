"""What a call may cost and what it did cost. Pure; integers of nano-dollars throughout.

A price is nano-dollars per *million* tokens, so that every list price is a whole number
(0.0375 USD per million = 37_500_000). The division happens once, at the end, rounding half up.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.completion import Completion, Json, Usage
from broker.money import usd_text

MILLION = 1_000_000
CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English text
INPUTS = ("input", "prompt", "query", "documents")  # where operations other than chat have text
TOKENS_PER_MEDIA_PART = 1_000  # an image or a file, whose real count only the provider knows


@dataclass(frozen=True, slots=True)
class Price:
    """One endpoint's prices. None for a cache price means: as the prompt price."""

    prompt: int = 0  # nano-dollars per million fresh input tokens
    completion: int = 0  # nano-dollars per million output tokens
    cache_read: int | None = None
    cache_write: int | None = None
    request: int = 0  # nano-dollars per call


def listed(price: Price) -> Json:
    """Prices as OpenRouter writes them: decimal strings of US dollars per token."""
    return {
        "prompt": _per_token(price.prompt),
        "completion": _per_token(price.completion),
        "input_cache_read": _per_token(price.cache_read),
        "input_cache_write": _per_token(price.cache_write),
        "request": usd_text(price.request),
    }


def _per_token(nanos_per_million: int | None) -> str | None:
    return None if nanos_per_million is None else usd_text(Decimal(nanos_per_million) / MILLION)


def quote(price: Price, *, input_tokens: int, output_tokens: int) -> int:
    """Return what such a call would cost without a warm cache."""
    return cost(price, Usage(input=input_tokens, output=output_tokens))


def cost(price: Price, usage: Usage) -> int:
    """Return the nano-dollars that `usage` costs at `price`."""
    read = price.prompt if price.cache_read is None else price.cache_read
    write = price.prompt if price.cache_write is None else price.cache_write
    scaled = (
        (usage.input or 0) * price.prompt
        + (usage.cache_read or 0) * read
        + (usage.cache_write or 0) * write
        + (usage.output or 0) * price.completion
    )
    return (scaled + MILLION // 2) // MILLION + price.request


def charge(price: Price, usage: Usage, completion: Completion) -> int:
    """Return what the caller pays: the cost, or nothing for an answer that is none.

    OpenRouter's zero-completion insurance: no output tokens and a blank finish reason, or a finish
    reason of `error`, cost nothing.
    """
    reasons = {choice.get("finish_reason") for choice in completion.choices}
    empty = usage.completion_tokens == 0 and not any(reasons)
    return 0 if empty or reasons == {"error"} else cost(price, usage)


def estimate_input_tokens(body: Json) -> int:
    """Return a rough count of a body's input tokens, for the hold and for context filters."""
    characters = sum(_characters(body.get(name)) for name in INPUTS)
    media = 0
    for message in body.get("messages") or ():
        content = message.get("content")
        if isinstance(content, str):
            characters += len(content)
            continue
        for part in content or ():
            text = part.get("text")
            characters += len(text) if isinstance(text, str) else 0
            media += not isinstance(text, str)
    characters += sum(len(str(tool)) for tool in body.get("tools") or ())
    return characters // CHARACTERS_PER_TOKEN + media * TOKENS_PER_MEDIA_PART + 1


def _characters(given: Any) -> int:
    """Count the characters of a text, or of what holds texts; a token given as a number counts."""
    if isinstance(given, str):
        return len(given)
    if isinstance(given, list):
        return sum(_characters(each) for each in given)
    if isinstance(given, dict):
        return sum(_characters(each) for each in given.values())
    return CHARACTERS_PER_TOKEN if isinstance(given, int) else 0


def asked_output_tokens(body: Json, *, likely: int) -> int:
    """Return the output tokens to hold for: what the body asks, else what is likely, `n` times."""
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return int(asked or likely) * int(body.get("n") or 1)
