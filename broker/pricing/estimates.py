"""What a body may come to, before anyone has counted: for holds and for context filters."""

from typing import Any

from broker.completion import Json

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English text
INPUTS = ("input", "prompt", "query", "documents")  # where operations other than chat have text
TOKENS_PER_MEDIA_PART = 1_000  # an image or a file, whose real count only the provider knows


def estimate_input_tokens(body: Json) -> int:
    """Return a rough count of a body's input tokens, for the hold and for context filters."""
    characters = sum([_characters(body[name]) for name in INPUTS if name in body])
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
    characters += sum([len(str(tool)) for tool in body.get("tools") or ()])
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
