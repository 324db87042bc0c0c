"""Parts of a content: what they say, carry and weigh."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from workers.simulator.attachments import inline, kind_of
from workers.simulator.gemini_spelling import field
from workers.simulator.media import TOKENS
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Attachment, Json

ATTACHMENT_TOKENS: Final = TOKENS
OUTPUTS: Final = ("output", "result", "error", "return_value")


def text_of(parts: Iterable[Json]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def attachments_of(parts: Iterable[Json]) -> tuple[Attachment, ...]:
    return tuple(each for each in map(_attachment, parts) if each)


def results_of(parts: Iterable[Json]) -> tuple[str, ...]:
    answers = [field(part, "functionResponse") for part in parts]
    return tuple(_told(answer["response"]) for answer in answers if answer)


def weight(part: Json) -> int:
    """Return the tokens of a part; earlier thoughts are not counted."""
    if part.get("thought"):
        return 0
    if "text" in part:
        return count_tokens(part["text"])
    if _attachment(part):
        return ATTACHMENT_TOKENS
    return count_tokens(orjson.dumps(part).decode())


def _attachment(part: Json) -> Attachment | None:
    if data := field(part, "inlineData"):
        return inline(field(data, "mimeType"), data["data"])
    if file := field(part, "fileData"):
        address = field(file, "fileUri")
        return Attachment(kind_of(field(file, "mimeType") or ""), address)
    return None


def _told(response: Json) -> str:
    """Return what a function answered: its one output as it is, more as JSON."""
    values: list[Any] = list(response.values())
    if len(values) == 1 and next(iter(response)) in OUTPUTS and isinstance(values[0], str):
        return values[0]
    return orjson.dumps(response).decode()
