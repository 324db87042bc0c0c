"""Operations as data: their API paths, the wires that serve them, and their chunks."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from broker.completion import Json


class Operation(StrEnum):
    """An operation is named by OpenAI's path for it; a job stores that."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    IMAGES = "/v1/images/generations"
    IMAGE_EDITS = "/v1/images/edits"
    IMAGE_VARIATIONS = "/v1/images/variations"
    RERANK = "/v1/rerank"
    MODERATIONS = "/v1/moderations"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"
    SPEECH = "/v1/audio/speech"


WITHOUT_OUTPUT = frozenset({Operation.EMBEDDINGS, Operation.RERANK, Operation.MODERATIONS})
"""Operations without output tokens, for which none are held."""

PICTURES = frozenset({Operation.IMAGES, Operation.IMAGE_EDITS, Operation.IMAGE_VARIATIONS})
"""Operations that make pictures."""

TEXTS = frozenset({Operation.CHAT, Operation.COMPLETIONS})
"""Operations that write text: their answers have choices, and their streams have chunks."""

STREAMED = TEXTS | {Operation.IMAGES, Operation.IMAGE_EDITS, Operation.SPEECH}
"""Operations whose answers can come as a stream."""

_OPENAI = frozenset(Operation)

SERVED: dict[str, frozenset[Operation]] = {
    "openai": _OPENAI,
    "azure": _OPENAI - {Operation.RERANK, Operation.MODERATIONS},
    "mistral": frozenset(
        {
            *(Operation.CHAT, Operation.EMBEDDINGS),
            *(Operation.TRANSCRIPTIONS, Operation.MODERATIONS),
        }
    ),
    "gemini": frozenset({Operation.CHAT, Operation.EMBEDDINGS}) | PICTURES,
    "cohere": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.RERANK}),
    "bfl": PICTURES - {Operation.IMAGE_VARIATIONS},
    "fal": PICTURES - {Operation.IMAGE_VARIATIONS},
    "stability": PICTURES - {Operation.IMAGE_VARIATIONS},
}
"""By wire; a missing wire serves chat only. A test compares it with the workers' registry."""


class Interface(StrEnum):
    """The API of a vendor that a model is served by."""

    PATHS = "paths"  # the paths of `Operation`, or the wire's equivalents
    TEXT = "text"  # text completions only: no chat
    RESPONSES = "responses"  # OpenAI's Responses API only: chats, in another form
    REALTIME = "realtime"  # a session over a socket


EXTRA_INTERFACES: Mapping[str, frozenset[Interface]] = {
    wire: frozenset({Interface.RESPONSES}) for wire in ("openai", "azure", "responses")
}
"""By wire: interfaces that it supports besides PATHS and TEXT. An entry offers their models."""

DEFAULT_INTERFACES = frozenset({Interface.PATHS, Interface.TEXT})

RETURNS: Mapping[Operation, frozenset[str]] = {
    Operation.CHAT: frozenset({"text", "audio"}),
    Operation.COMPLETIONS: frozenset({"text"}),
    Operation.EMBEDDINGS: frozenset({"embeddings"}),
    **{operation: frozenset({"image"}) for operation in PICTURES},
    Operation.RERANK: frozenset({"rerank"}),
    Operation.MODERATIONS: frozenset({"moderation"}),
    Operation.TRANSCRIPTIONS: frozenset({"transcription"}),
    Operation.SPEECH: frozenset({"speech"}),
}
"""A model serves an operation if it gives one of these."""

UNSTATED = frozenset({"text"})
"""The assumed output of a model with unknown outputs."""


def supports_interface(wire: str, interface: Interface) -> bool:
    """Return whether a wire can call a model that is served by this interface."""
    return interface in DEFAULT_INTERFACES or interface in EXTRA_INTERFACES.get(wire, ())


def gives(outputs: Collection[str], operation: Operation) -> bool:
    """Return whether a model with these output modalities is known to serve an operation."""
    return not RETURNS[operation].isdisjoint(outputs)


def may_give(outputs: Collection[str], operation: Operation) -> bool:
    """Return whether a model may serve an operation, as far as its outputs are known.

    Some hosts serve models that draw by chats; whether the chat asks for an image is its own need.
    """
    draws = operation is Operation.CHAT and "image" in outputs
    return draws or gives(outputs, operation) or frozenset(outputs) == UNSTATED


def serves(wire: str, operation: Operation, interface: Interface = Interface.PATHS) -> bool:
    """Return whether a wire serves an operation of a model that is behind this interface."""
    if not supports_interface(wire, interface):
        return False
    if interface is Interface.TEXT:
        return operation is Operation.COMPLETIONS and operation in SERVED.get(wire, ())
    if interface is Interface.RESPONSES:
        return operation is Operation.CHAT
    return operation in SERVED.get(wire, {Operation.CHAT})


def name_image_event(operation: Operation, name: str) -> str:
    """Return the `type` of an event of streamed images, e.g. `image_edit.completed`."""
    kind = "image_edit" if operation is Operation.IMAGE_EDITS else "image_generation"
    return f"{kind}.{name}"


def is_streamed(body: Json) -> bool:
    """Return whether a body requests a stream; `stream_format` is that of speech."""
    return bool(body.get("stream")) or body.get("stream_format") == "sse"


_OBJECTS = {Operation.CHAT: "chat.completion.chunk", Operation.COMPLETIONS: "text_completion"}


def chunk_object(operation: Operation) -> str:
    """Return the `object` of a chunk."""
    return _OBJECTS[operation]


def empty_choice(operation: Operation, finish_reason: str | None = None) -> Json:
    """Return an empty choice of a chunk."""
    addition: Json = {"delta": {"content": ""}} if operation is Operation.CHAT else {"text": ""}
    return {
        "index": 0,
        **addition,
        "finish_reason": finish_reason,
        "native_finish_reason": None,
        "logprobs": None,
    }
