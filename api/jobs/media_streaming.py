"""Streams of documents: images and speech as server-sent events, and speech as bare sound.

Rules: OpenAI API reference, "Image generation streaming" and "Create speech" (`stream_format`);
OpenRouter's `ImageGenStreamErrorEvent`. The events are those of the job; each begins with its
`type`, which is also the name of the server-sent event.
"""

import base64
import re
from dataclasses import dataclass
from typing import ClassVar

import orjson

from api.jobs.streaming import ChunkStream, render_frame
from broker.completion import Json
from broker.events import job_events
from broker.events.job_events import Event

_TYPE = re.compile(rb'\{"type":"([a-z_.]+)"')
SOUND_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac",
    "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip


class BrokenSoundError(Exception):
    """The sound that was sent so far has no end. The connection is closed in its middle."""


class DocumentEvents(ChunkStream):
    """One caller's view of a job: the events of its images or its speech."""

    def _render(self, event: Event) -> bytes:
        found = _TYPE.match(event.data)
        name = found[1].decode() if found else None
        number = None if event.type == job_events.USAGE else event.number
        return render_frame(event.data, number, name)

    def _fail(self, number: int, status: int, message: str, metadata: Json) -> None:
        error = {"code": status, "message": message, "metadata": metadata | {"job_id": self.job_id}}
        body = orjson.dumps({"type": "error", "error": error})
        self._lines.append(render_frame(body, number, "error"))
        self._end()

    def _end(self) -> None:
        self.ended = True


@dataclass(slots=True)
class SoundStream(ChunkStream):
    """One caller's view of a job: the bytes of its speech, as they come."""

    keep_alive: ClassVar[bytes] = b""  # anything else would be heard

    media_type: str = "audio/mpeg"

    def _render(self, event: Event) -> bytes:
        data = orjson.loads(event.data)
        return base64.b64decode(data["audio"]) if "audio" in data else b""

    def _fail(self, number: int, status: int, message: str, metadata: Json) -> None:
        del number, status, metadata
        self.ended = True
        raise BrokenSoundError(message)

    def _end(self) -> None:
        self.ended = True


def find_sound_type(body: Json) -> str:
    """Return the media type of the speech that a body requests."""
    return SOUND_TYPES.get(str(body.get("response_format") or "mp3"), "audio/mpeg")
