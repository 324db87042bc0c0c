"""What each operation answers, for the OpenAPI document: examples that a running house gave.

`make examples` writes them; tests/api/answers/ compares them with what is
answered now.
"""

from pathlib import Path
from typing import Any

import orjson

from broker.completion import Json

EXAMPLES = Path(__file__).with_name("examples")


def recorded() -> Json:
    """Return the answers: by operation (`GET /api/v1/jobs`), by status, by media type."""
    found: Json = {}
    for file in sorted(EXAMPLES.glob("*.json")):
        found |= orjson.loads(file.read_bytes())
    return found


def describe(operation: Json, answers: Json) -> None:
    """Give an operation of the document the examples of its answers."""
    for status, response in operation["responses"].items():
        if by_media := answers.get(status):
            response["content"] = {media: _content(each) for media, each in by_media.items()}


def _content(answer: Any) -> Json:
    match answer:
        case None:  # bytes: nothing to show
            return {"schema": {"type": "string", "format": "binary"}}
        case str():
            return {"schema": {"type": "string"}, "example": answer}
    return {"schema": {"type": "object"}, "example": answer}
