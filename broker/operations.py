"""What can be asked for, as data: the API path of each operation, and the wires that serve it."""

from enum import StrEnum


class Operation(StrEnum):
    """An operation is named by OpenAI's path for it; a job stores that."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    IMAGES = "/v1/images/generations"
    RERANK = "/v1/rerank"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"
    SPEECH = "/v1/audio/speech"


WITHOUT_OUTPUT = frozenset({Operation.EMBEDDINGS, Operation.RERANK})
"""Operations that produce no tokens: nothing is held for any."""

_OPENAI = frozenset(Operation)

SERVED: dict[str, frozenset[Operation]] = {
    "openai": _OPENAI,
    "azure": _OPENAI - {Operation.RERANK},
    "mistral": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.TRANSCRIPTIONS}),
    "gemini": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.IMAGES}),
    "cohere": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.RERANK}),
}
"""By wire; one that is absent serves chat only. A test holds it against the workers' registry."""


def serves(wire: str, operation: Operation) -> bool:
    return operation in SERVED.get(wire, {Operation.CHAT})
