"""The form of a streamed answer's chunks, for each operation that streams."""

from broker.completion import Json
from broker.requests.operations import Operation

_OBJECTS = {Operation.CHAT: "chat.completion.chunk", Operation.COMPLETIONS: "text_completion"}


def object_name(operation: Operation) -> str:
    """Return the `object` of a chunk."""
    return _OBJECTS[operation]


def empty_choice(operation: Operation, finish_reason: str | None = None) -> Json:
    """Return a choice that adds nothing to the answer."""
    addition: Json = {"delta": {"content": ""}} if operation is Operation.CHAT else {"text": ""}
    return {
        "index": 0,
        **addition,
        "finish_reason": finish_reason,
        "native_finish_reason": None,
        "logprobs": None,
    }
