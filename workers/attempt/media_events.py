"""The events that end the stream of a document: images and speech, in OpenAI's shape.

Rules: OpenAI API reference, "Image generation streaming", "Image edit streaming" and "Speech stream
events"; OpenRouter's `ImageGenCompletedEvent`, whose SDK requires `created`.
"""

import base64
from collections.abc import Sequence

from broker.completion import Document, Json
from broker.requests.operations import Operation, name_image_event

_STATED = ("background", "size", "quality", "output_format")


def render_last_events(
    operation: Operation, answer: Document, created: int, usage: Json, *, shown: bool
) -> Sequence[Json]:
    """Return the last events of a stream; `created` is in Unix seconds.

    Speech of which the caller has heard nothing yet comes as a whole.
    """
    if operation is Operation.SPEECH:
        return _end_speech(answer, usage, shown=shown)
    stated = {name: answer.body[name] for name in _STATED if name in answer.body}
    events: list[Json] = [
        {
            "type": name_image_event(operation, "completed"),
            "b64_json": base64.b64encode(image.content).decode(),
            "media_type": image.media_type,
            "created": created,
            "created_at": created,
            **stated,
        }
        for image in answer.media
    ]
    if events:
        events[-1]["usage"] = usage
    return events


def _end_speech(answer: Document, usage: Json, *, shown: bool) -> Sequence[Json]:
    events: list[Json] = []
    if not shown:
        events += [
            {"type": "speech.audio.delta", "audio": base64.b64encode(each.content).decode()}
            for each in answer.media
        ]
    return [*events, {"type": "speech.audio.done", "usage": usage}]
