"""POST /audio/transcriptions and /audio/speech.

Rules: OpenAI API reference, "Create transcription" (multipart), "Create speech" (raw audio back).
The body of a transcription job has the audio as `input_audio: {data, format}` (OpenRouter's JSON
form). Only this module makes a form of it.
"""

import base64
from typing import Any

from broker.completion import Chunk, CompletionRequest, Document, Json, Media, Usage
from broker.ids import new_id
from broker.requests.data_uris import read_sound
from broker.requests.operations import Operation
from workers.adapters.base import (
    CutOffError,
    DocumentReader,
    HttpRequest,
    MalformedAnswerError,
    ProviderFailureError,
    Stage,
    StreamReader,
    Upstream,
)
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import parse_object
from workers.adapters.media import sound_format
from workers.adapters.openai.adapter import build_headers, build_url
from workers.adapters.openai.usage import read_usage
from workers.adapters.sse import ServerSentEvent, SseDecoder
from workers.operations.base import (
    OperationAdapter,
    build_json_request,
    parse_answer,
    with_vendor_address,
)
from workers.operations.forms import Form, FormFile, build_form

AUDIO_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac",
    "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
EVENT_STARTS = (b"event:", b"data:", b":")
TEXT_FORMATS = ("text", "srt", "vtt")
LONGEST_AUDIO_SECONDS = 7 * 24 * 3600  # a week; a longer duration is wrong


class OpenAiTranscriptions(OperationAdapter):
    operation = Operation.TRANSCRIPTIONS
    wires = ("openai", "azure", "mistral")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        upstream = with_vendor_address(upstream)
        form = _build_form(request)
        return HttpRequest(
            url=build_url("/audio/transcriptions", request.model, upstream),
            headers=build_headers(upstream, content=form.content_type),
            body=form.body,
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        if request.body.get("response_format") in TEXT_FORMATS:
            text = body.decode(errors="replace")
            return Document({"text": text, "response_format": request.body["response_format"]})
        parsed = parse_answer(body)
        if not isinstance(parsed.get("text"), str):
            raise MalformedAnswerError("a transcription without text")
        raw = parsed.pop("usage", None)
        if raw is None and "duration" in parsed:  # of `verbose_json`
            raw = {"type": "duration", "seconds": parsed["duration"]}
        return Document(body=parsed, usage=_usage(raw))


def _usage(raw: Any) -> Usage | None:
    if isinstance(raw, dict) and raw.get("type") == "tokens":
        details = raw.get("input_token_details") or {}
        audio = details.get("audio_tokens")
        return Usage(
            input=raw.get("input_tokens"), output=raw.get("output_tokens"), input_audio=audio
        )
    if isinstance(raw, dict) and raw.get("type") == "duration":
        seconds = raw.get("seconds")
        if isinstance(seconds, int | float) and 0 <= seconds < LONGEST_AUDIO_SECONDS:
            return Usage(input=0, output=0, input_audio_ms=round(seconds * 1000))
    return read_usage(raw)


def _build_form(request: CompletionRequest) -> Form:
    """Return the fields and the audio as a form."""
    audio: Json = request.body["input_audio"]
    uri = read_sound(audio["data"])
    kind = str(audio.get("format") or sound_format(uri.mime))
    fields = {k: v for k, v in request.body.items() if k not in {"input_audio", "file"}}
    sound = FormFile(
        "file",
        f"audio.{kind}",
        AUDIO_TYPES.get(kind, "application/octet-stream"),
        base64.b64decode(uri.data),
    )
    return build_form(fields | {"model": request.model}, [sound])


class OpenAiSpeech(OperationAdapter):
    operation = Operation.SPEECH
    streams = True
    wires = ("openai", "azure")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return build_json_request("/audio/speech", request, upstream, request.body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        if not body:
            raise MalformedAnswerError("no audio in the answer")
        return build_speech(body, request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return SpeechStreamReader(request)


def build_speech(
    content: bytes, request: CompletionRequest, usage: Usage | None = None
) -> Document:
    """Return the answer with this sound."""
    kind = AUDIO_TYPES.get(str(request.body.get("response_format") or "mp3"), "audio/mpeg")
    sound = Media(new_id("file_"), kind, content)
    body = {"object": "audio.speech", "file_id": sound.id, "media_type": kind}
    return Document(body, usage=usage, media=[sound])


class SpeechStreamReader(DocumentReader):
    """Reader of sound as it comes: its bytes, or events with `stream_format` of `sse`."""

    __slots__ = ("_begun", "_decoder", "_is_sse", "_request", "_sound", "_stage", "_usage")

    def __init__(self, request: CompletionRequest) -> None:
        self._request = request
        self._decoder = SseDecoder()
        self._is_sse = request.body.get("stream_format") == "sse"
        self._begun = False
        self._sound = bytearray()
        self._stage = Stage.OPEN
        self._usage: Usage | None = None

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def usage(self) -> Usage | None:
        return self._usage

    def feed(self, data: bytes) -> list[Chunk]:
        if self._is_sse and not self._begun and not data.startswith(EVENT_STARTS):
            self._is_sse = False  # the vendor does not know the field
        self._begun = True
        if not self._is_sse:
            return self._hear(data)
        return [chunk for event in self._decoder.feed(data) for chunk in self._read_event(event)]

    def close(self) -> list[Chunk]:
        events = self._decoder.close() if self._is_sse else []
        chunks = [chunk for event in events for chunk in self._read_event(event)]
        if not self._sound:
            raise MalformedAnswerError("no audio in the answer")
        if self._is_sse and self._stage is Stage.OPEN:
            raise CutOffError("the stream of sound ended before its last event")
        return chunks

    def document(self) -> Document:
        """Return the sound that has come."""
        return build_speech(bytes(self._sound), self._request, self._usage)

    def _hear(self, sound: bytes) -> list[Chunk]:
        if not sound:
            return []
        self._sound += sound
        encoded = base64.b64encode(sound).decode()
        return [Chunk(event={"type": "speech.audio.delta", "audio": encoded})]

    def _read_event(self, event: ServerSentEvent) -> list[Chunk]:
        payload = parse_object(event.data)
        if error := payload.get("error"):
            raise ProviderFailureError(read_reported_error(error))
        if payload.get("type") == "speech.audio.done":
            self._stage = Stage.OVER
            self._usage = _speech_usage(payload.get("usage"))
            return []
        audio = payload.get("audio")
        return self._hear(base64.b64decode(audio)) if isinstance(audio, str) else []


def _speech_usage(raw: Any) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    output = raw.get("output_tokens")
    return Usage(input=raw.get("input_tokens"), output=output, output_audio=output)
