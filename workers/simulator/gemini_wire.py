"""POST …/models/{model}:generateContent and :streamGenerateContent."""

from collections.abc import Iterable
from typing import ClassVar, Final

import orjson

from workers.simulator.bodies import json_object
from workers.simulator.gemini_answer import chunks, whole
from workers.simulator.gemini_errors import envelope, status
from workers.simulator.gemini_request import understand
from workers.simulator.requests import ErrorReply, Json, RefusedError, Reply, Request, invalid
from workers.simulator.wire import JSON, Head, Header, Wire

EVENTS: Final = b"text/event-stream"


class Gemini(Wire):
    """An answer in one document."""

    stream: ClassVar[bool] = False

    def __init__(self, vertex: bool = False) -> None:
        self.vertex = vertex

    def read(self, head: Head, body: bytes) -> Request:
        model = head.path.rpartition("/models/")[2].partition(":")[0]
        call = json_object(body)
        try:
            return understand(model, call, stream=self.stream)
        except RefusedError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise invalid("Invalid JSON payload received.") from error

    def status(self, refusal: ErrorReply) -> int:
        return status(refusal, vertex=self.vertex)[0]

    def headers(self, refusal: ErrorReply) -> tuple[Header, ...]:
        """Return nothing: Google says in the body when to come back."""
        del refusal
        return ()

    def refuse(self, refusal: ErrorReply) -> bytes:
        return _pretty(envelope(refusal, vertex=self.vertex))

    def answer(self, request: Request, reply: Reply) -> bytes:
        return _pretty(whole(request, reply, vertex=self.vertex))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)

    def error_event(self, refusal: ErrorReply) -> bytes:
        return self.refuse(refusal)


class GeminiEvents(Gemini):
    """A stream of events, with the line ends Google has. Errors have its media type too."""

    stream = True
    refusal_content = EVENTS

    def content(self, request: Request) -> bytes:
        del request
        return EVENTS

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        for chunk in chunks(request, reply, vertex=self.vertex):
            yield _event(chunk)

    def error_event(self, refusal: ErrorReply) -> bytes:
        return _event(envelope(refusal, vertex=self.vertex))


class GeminiArray(Gemini):
    """A stream as one JSON array that grows. Errors are an array too."""

    stream = True

    def content(self, request: Request) -> bytes:
        del request
        return JSON

    def refuse(self, refusal: ErrorReply) -> bytes:
        return b"[%b\n]\n" % super().refuse(refusal)

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        before = b"["
        for chunk in chunks(request, reply, vertex=self.vertex):
            yield before + _pretty(chunk)
            before = b"\n,\r\n"
        yield b"\n]\n"

    def error_event(self, refusal: ErrorReply) -> bytes:
        return b"\n,\r\n" + _pretty(envelope(refusal, vertex=self.vertex)) + b"\n]\n"


def _pretty(data: Json) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2)


def _event(data: Json) -> bytes:
    return b"data: %b\r\n\r\n" % orjson.dumps(data)
