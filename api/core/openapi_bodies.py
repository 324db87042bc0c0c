"""OpenAPI descriptions of bodies that routes read themselves (the hot path parses JSON once)."""

from typing import Any

from pydantic import BaseModel

from broker.requests.bodies import SCHEMAS
from broker.requests.operations import Operation

REFERENCE = "#/components/schemas/{model}"
CHAT_EXAMPLE = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}
_EXAMPLES: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: CHAT_EXAMPLE,
    Operation.COMPLETIONS: {"model": "acme/base", "prompt": "Once upon a time"},
    Operation.EMBEDDINGS: {"model": "acme/embed", "input": ["first text", "second text"]},
    Operation.IMAGES: {"model": "acme/paint", "prompt": "A lighthouse at dawn"},
    Operation.RERANK: {"model": "acme/rank", "query": "capital of France", "documents": ["Paris"]},
    Operation.TRANSCRIPTIONS: {
        "model": "acme/listen", "input_audio": {"data": "UklGRg==", "format": "wav"},
    },
    Operation.SPEECH: {"model": "acme/speak", "input": "Hello.", "voice": "alloy"},
}  # fmt: skip


def body_of(operation: Operation) -> dict[str, Any]:
    """Return what an operation's route takes."""
    return body(SCHEMAS[operation], _EXAMPLES[operation])


def object_body(example: dict[str, Any]) -> dict[str, Any]:
    """Return a body that has no schema of its own."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def body(
    schema: type[BaseModel], example: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    reference = {"$ref": REFERENCE.format(model=schema.__name__)}
    content = {"application/json": {"schema": reference, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


NO_KEY: dict[str, Any] = {"security": []}
KEY_OPTIONAL: dict[str, Any] = {"security": [{}, {"key": []}]}
LATER: dict[int | str, dict[str, Any]] = {
    202: {"description": "Accepted, for `Prefer: respond-async`, or `wait=N` that has passed."}
}
"""What a call answers beside what it was asked for."""
