"""POST /v1/audio/transcriptions."""

from typing import Any, Final

import orjson

from workers.simulator.bodies import Upload, form
from workers.simulator.operation import Operation
from workers.simulator.requests import Json, Reply, Request, invalid
from workers.simulator.sounds import seconds
from workers.simulator.wire import JSON, Head

TEXT: Final = b"text/plain; charset=utf-8"
FORMATS: Final = ("json", "text", "verbose_json")


class Transcriptions(Operation):
    """Nothing is heard: the transcript tells the name and the size of the file."""

    def read(self, head: Head, body: bytes) -> Request:
        fields, files = form(head.header(b"content-type"), body)
        if "model" not in fields or "file" not in files:
            raise invalid("A model and a file are required")
        form_asked = fields.get("response_format", "json")
        if form_asked not in FORMATS:
            raise invalid("Invalid value for 'response_format'")
        language = fields.get("language", "en")
        return Request(fields["model"], detail=(files["file"], form_asked, language))

    def understand(self, call: Json, head: Head) -> Request:
        raise NotImplementedError  # a form is read, not JSON

    def content(self, request: Request) -> bytes:
        return TEXT if request.detail[1] == "text" else JSON

    def answer(self, request: Request, reply: Reply) -> bytes:
        file, asked, language = request.detail
        text = transcript(file)
        if asked == "text":
            return f"{text}\n".encode()
        length = round(seconds(file.data), 3)
        whole: dict[str, Any] = {"text": text}
        if asked == "verbose_json":
            whole |= _verbose(text, length, language)
        if reply.usage:
            whole["usage"] = {"type": "duration", "seconds": length}
        return orjson.dumps(whole)


def transcript(file: Upload) -> str:
    return f"The file is called {file.name} and has {len(file.data)} bytes."


def _verbose(text: str, length: float, language: str) -> dict[str, Any]:
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
    return {
        "task": "transcribe",
        "language": language,
        "duration": length,
        "segments": [segment],
    }
