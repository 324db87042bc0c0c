"""Streams of images on OpenAI's wire: partial images, then the images.

Rules: OpenAI API reference, "Image generation streaming" and "Image edit streaming".
"""

from collections.abc import Callable, Iterable
from typing import Any

from broker.completion import Chunk, Document, Json, Media, Usage
from broker.requests.operations import Operation, name_image_event
from workers.adapters.base import (
    CutOffError,
    DocumentReader,
    MalformedAnswerError,
    ProviderFailureError,
    Stage,
)
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import parse_object
from workers.adapters.sse import ServerSentEvent, SseDecoder

STATED = ("background", "size", "quality", "output_format")
"""Options that an answer of images states."""

_PARTIAL, _COMPLETED = "partial_image", "completed"


class ImageStreamReader(DocumentReader):
    """Reader of one stream of images."""

    __slots__ = ("_decoder", "_facts", "_media", "_name", "_number", "_read", "_usage")

    def __init__(
        self,
        operation: Operation,
        number: int,
        facts: Json,
        read_image: Callable[[str], Media],
        read_usage: Callable[[Any], Usage | None],
    ) -> None:
        self._decoder = SseDecoder()
        self._name = operation
        self._number = number  # of images that were requested
        self._read = read_image, read_usage
        self._media: list[Media] = []
        self._facts = facts  # of the request; those that the events state are added
        self._usage: Usage | None = None

    @property
    def stage(self) -> Stage:
        return Stage.OVER if len(self._media) >= self._number else Stage.OPEN

    @property
    def usage(self) -> Usage | None:
        return self._usage

    def feed(self, data: bytes) -> list[Chunk]:
        return self._take(self._decoder.feed(data))

    def close(self) -> list[Chunk]:
        chunks = self._take(self._decoder.close())
        if not self._media:
            raise CutOffError("the stream ended before an image was complete")
        return chunks

    def document(self) -> Document:
        """Return the images, with the options that the events state."""
        data = [{"file_id": image.id} for image in self._media]
        return Document({"data": data, **self._facts}, usage=self._usage, media=self._media)

    def _take(self, events: Iterable[ServerSentEvent]) -> list[Chunk]:
        return [chunk for event in events if (chunk := self._read_event(event)) is not None]

    def _read_event(self, event: ServerSentEvent) -> Chunk | None:
        if event.data == b"[DONE]":
            return None
        payload = parse_object(event.data)
        if error := payload.get("error"):
            raise ProviderFailureError(read_reported_error(error))
        kind = str(payload.get("type") or event.name).rpartition(".")[2]
        if kind not in (_PARTIAL, _COMPLETED):
            return None
        if not isinstance(payload.get("b64_json"), str):
            raise MalformedAnswerError("an image event without an image")
        if kind == _PARTIAL:
            named = {"type": name_image_event(self._name, _PARTIAL)}
            return Chunk(event={**named, **_without(payload, "type")})
        read_image, read_usage = self._read
        self._media.append(read_image(payload["b64_json"]))
        self._facts |= {name: payload[name] for name in STATED if name in payload}
        self._usage = read_usage(payload.get("usage")) or self._usage
        return None


def _without(payload: Json, name: str) -> Json:
    return {key: value for key, value in payload.items() if key != name}
