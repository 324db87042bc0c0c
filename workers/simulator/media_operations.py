"""POST /v1/audio/speech and /v1/audio/transcriptions."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import orjson

from workers.simulator.http import Upload, form, required_text
from workers.simulator.media import samples, seconds, wav
from workers.simulator.openai_shapes import event
from workers.simulator.openai_wire import Operation
from workers.simulator.replies import count_tokens
from workers.simulator.wire import EVENT_STREAM, JSON, Head, Json, Reply, Request, invalid

WAV: Final = b"audio/wav"
PCM: Final = b"audio/pcm"
LONGEST: Final = 4096  # characters


PIECES: Final = 8
SSE: Final = "sse"


class Speech(Operation):
    """Speech: a tone as long as the text, as bare samples for `pcm`, otherwise as a WAV file.

    It comes in pieces: as bytes, or as events.
    """

    def understand(self, call: Json, head: Head) -> Request:
        del head
        text = required_text(call, "input")
        if len(text) > LONGEST:
            raise invalid(f"Invalid value for 'input': at most {LONGEST} characters can be said")
        if not call.get("voice"):
            raise invalid("Missing required parameter: 'voice'")
        content = PCM if call.get("response_format") == "pcm" else WAV
        form = call.get("stream_format") or "audio"
        tokens = count_tokens(text)
        return Request(call["model"], stream=True, text=text, tokens=tokens, detail=(content, form))

    def content(self, request: Request) -> bytes:
        content: bytes
        content, form = request.detail
        return EVENT_STREAM if form == SSE else content

    def answer(self, request: Request, reply: Reply) -> bytes:
        del reply
        return samples(request.text) if request.detail[0] == PCM else wav(request.text)

    def events(self, request: Request, reply: Reply) -> Iterator[bytes]:
        sound = self.answer(request, reply)
        size = -(-len(sound) // PIECES)
        pieces = [sound[at : at + size] for at in range(0, len(sound), size)]
        if request.detail[1] != SSE:
            yield from pieces
            return
        for piece in pieces:
            yield event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()})
        usage = {"input_tokens": request.tokens, "output_tokens": 2 * request.tokens}
        usage["total_tokens"] = sum(usage.values())
        yield event({"type": "speech.audio.done", "usage": usage})


TEXT: Final = b"text/plain; charset=utf-8"
FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
PLAIN: Final = ("text", "srt", "vtt")


class Transcriptions(Operation):
    """Transcriptions: the text is the name and the size of the file."""

    def read(self, head: Head, body: bytes) -> Request:
        sent = form(head.header(b"content-type"), body)
        fields, file = sent.fields, sent.upload("file")
        if "model" not in fields or file is None:
            raise invalid("A model and a file are required")
        requested_form = fields.get("response_format", "json")
        if requested_form not in FORMATS:
            raise invalid("Invalid value for 'response_format'")
        language = fields.get("language", "en")
        parts = tuple(sent.lists.get("timestamp_granularities", ["segment"]))
        if parts != ("segment",) and requested_form != "verbose_json":
            raise invalid("timestamp_granularities needs the response_format verbose_json")
        return Request(fields["model"], detail=(file, requested_form, language, parts))

    def understand(self, call: Json, head: Head) -> Request:
        raise NotImplementedError  # a form is read, not JSON

    def content(self, request: Request) -> bytes:
        return TEXT if request.detail[1] in PLAIN else JSON

    def answer(self, request: Request, reply: Reply) -> bytes:
        file, requested, language, parts = request.detail
        text = transcript(file)
        length = round(seconds(file.data), 3)
        if requested in PLAIN:
            return _plain(text, length, requested).encode()
        whole: dict[str, Any] = {"text": text}
        if requested == "verbose_json":
            whole |= _verbose(text, length, language, parts)
        if reply.usage:
            whole["usage"] = {"type": "duration", "seconds": length}
        return orjson.dumps(whole)


def _plain(text: str, length: float, requested: str) -> str:
    """Return a transcript as text or as subtitles."""
    if requested == "text":
        return f"{text}\n"
    comma = "," if requested == "srt" else "."
    begin, end = (f"00:00:{each:06.3f}".replace(".", comma) for each in (0.0, length))
    head = "1\n" if requested == "srt" else "WEBVTT\n\n"
    return f"{head}{begin} --> {end}\n{text}\n"


def transcript(file: Upload) -> str:
    return f"The file is called {file.name} and has {len(file.data)} bytes."


def _verbose(text: str, length: float, language: str, parts: tuple[str, ...]) -> dict[str, Any]:
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": length,
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }
    words = text.split()
    step = length / max(len(words), 1)
    timed = [
        {"word": word, "start": round(index * step, 3), "end": round((index + 1) * step, 3)}
        for index, word in enumerate(words)
    ]
    return {
        "task": "transcribe",
        "language": language,
        "duration": length,
        **({"segments": [segment]} if "segment" in parts else {}),
        **({"words": timed} if "word" in parts else {}),
    }
