"""Estimates tokens before anyone has counted: for holds, context filters and pacing."""

from broker.completion import Json
from broker.requests.content_sizes import Sent, measure

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English text
LIKELY_IMAGE_TOKENS = 1_000
LIKELY_SOUND_TOKENS = 25  # a second

MAX_OVERHEAD_TOKENS = 250  # of a call: what a vendor's chat format adds
MAX_MESSAGE_TOKENS = 10  # of a message, likewise
MAX_PAGE_TOKENS = 4_700  # Anthropic: 3,000 of text and a picture
MAX_SOUND_TOKENS = 35  # a second; Google's 32 are the most known
MAX_SEARCH_TOKENS = 8_000  # what a search brings into the prompt
MAX_IMAGE_TOKENS = 5_000
MAX_EDITED_IMAGE_TOKENS = 10_000
"""Of a picture to change. OpenAI: 6,240 at high input fidelity, besides the picture's tiles."""

IMAGE_TOKENS = {"gpt-4o-mini": 48_200}
"""Models whose pictures cost more tokens than others', by a part of their name."""


def estimate_input_tokens(body: Json) -> int:
    """Return a rough count of a body's input tokens."""
    return estimate_tokens_read(measure(body))


def estimate_tokens_read(sent: Sent) -> int:
    """Return about how many tokens a model reads: a token for four bytes of text."""
    media = (
        sent.images * LIKELY_IMAGE_TOKENS
        + sent.page_tokens
        + estimate_sound_tokens(sent)
        + sent.film_tokens.likely
    )
    return sent.text_bytes // CHARACTERS_PER_TOKEN + sent.token_ids + media + 1


def estimate_sound_tokens(sent: Sent) -> int:
    return sent.milliseconds.likely * LIKELY_SOUND_TOKENS // 1000


def max_sound_tokens(sent: Sent) -> int:
    return sent.milliseconds.most * MAX_SOUND_TOKENS // 1000


def max_image_tokens(sent: Sent, native_model: str) -> int:
    """Return the most tokens of images, pages and films, which may have a price of their own."""
    of_image = next(
        (most for name, most in IMAGE_TOKENS.items() if name in native_model), MAX_IMAGE_TOKENS
    )
    pages = sent.pages.most * max(MAX_PAGE_TOKENS, of_image)  # a page may be sent as an image
    edited = sent.edited_images * max(of_image, MAX_EDITED_IMAGE_TOKENS)
    shown = (sent.images - sent.edited_images) * of_image
    return shown + edited + pages + sent.film_tokens.most


def max_input_tokens(sent: Sent, native_model: str) -> int:
    """Return a count that no vendor exceeds: no tokenizer makes more tokens than UTF-8 bytes."""
    return (
        sent.text_bytes
        + sent.token_ids
        + sent.messages * MAX_MESSAGE_TOKENS
        + max_image_tokens(sent, native_model)
        + max_sound_tokens(sent)
        + sent.searches.most * MAX_SEARCH_TOKENS
        + MAX_OVERHEAD_TOKENS
    )


def requested_output_tokens(body: Json, *, likely: int) -> int:
    """Return the output tokens of a call: those it asks for, else those that are likely."""
    return (output_limit(body) or likely) * count_answers(body)


def output_limit(body: Json) -> int | None:
    """Return the most tokens that one answer may have, where the body says it."""
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    limits = [value for name in names if isinstance(value := body.get(name), int) and value > 0]
    return max(limits, default=None)


def count_answers(body: Json) -> int:
    """Return how many answers a body asks for: `n` or `best_of` for each of its prompts."""
    requested = [value for name in ("n", "best_of") if isinstance(value := body.get(name), int)]
    prompt = body.get("prompt")
    is_many = isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int))
    return max([1, *requested]) * (
        max(len(prompt), 1) if isinstance(prompt, list) and is_many else 1
    )
