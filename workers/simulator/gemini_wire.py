"""POST …/models/{model}:generateContent and :streamGenerateContent."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final
from uuid import uuid4

import orjson

from workers.simulator.gemini_request import understand
from workers.simulator.http import json_object
from workers.simulator.media import TOKENS
from workers.simulator.replies import count_tokens, pieces, sign
from workers.simulator.wire import (
    JSON,
    ErrorReply,
    Head,
    Header,
    Json,
    RefusalKind,
    RefusedError,
    Reply,
    Request,
    ToolCall,
    Wire,
    invalid,
)

TYPE: Final = "type.googleapis.com/google.rpc."
STATUSES: Final[dict[RefusalKind, tuple[int, str]]] = {
    "rate_limited": (429, "RESOURCE_EXHAUSTED"),
    "server_error": (500, "INTERNAL"),
    "overloaded": (503, "UNAVAILABLE"),
    "unauthorized": (400, "INVALID_ARGUMENT"),
    "bad_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "unknown_model": (404, "NOT_FOUND"),
}
VERTEX_UNAUTHORIZED: Final = (401, "UNAUTHENTICATED")
WORDS: Final[dict[RefusalKind, str]] = {  # where Google has its own words
    "rate_limited": "You exceeded your current quota, please check your plan and billing details.",
    "server_error": "An internal error has occurred: the simulator had an error.",
    "overloaded": "The model is overloaded. Please try again later.",
    "unauthorized": "API key not valid. Please pass a valid API key.",
    "context_length": (
        "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."
    ),
}


def status(refusal: ErrorReply, *, vertex: bool) -> tuple[int, str]:
    """Return the status and its name. A wrong key is 400 at AI Studio and 401 at Vertex AI."""
    if vertex and refusal.kind == "unauthorized":
        return VERTEX_UNAUTHORIZED
    return STATUSES[refusal.kind]


def envelope(refusal: ErrorReply, *, vertex: bool) -> Json:
    code, name = status(refusal, vertex=vertex)
    words = WORDS.get(refusal.kind, refusal.message)
    if refusal.retry_after is not None:
        words = f"{words}\nPlease retry in {refusal.retry_after}.5s."
    error: dict[str, Any] = {"code": code, "message": words, "status": name}
    if details := _details(refusal, vertex=vertex):
        error["details"] = details
    return {"error": error}


def _details(refusal: ErrorReply, *, vertex: bool) -> list[Json]:
    details: list[Json] = []
    if refusal.kind == "unauthorized":
        reason = "CREDENTIALS_MISSING" if vertex else "API_KEY_INVALID"
        details.append({"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"})
    if refusal.kind == "rate_limited":
        violation = {"quotaMetric": "simulator.example/generate_content_requests"}
        details.append({"@type": f"{TYPE}QuotaFailure", "violations": [violation]})
    if refusal.retry_after is not None:
        delay = f"{refusal.retry_after}s"
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": delay})
    return details


Object = dict[str, Any]


def whole(request: Request, reply: Reply, *, vertex: bool) -> Object:
    parts = _thoughts(request, reply, pieced=False)
    if reply.text is not None:
        parts.append({"text": reply.text} | _sign(reply))
    parts += _build_parts(reply)
    chunk = _chunk(parts) | {"modelVersion": request.model, "responseId": uuid4().hex}
    chunk["candidates"][0]["finishReason"] = _finish_reason(reply)
    return chunk | _usage(request, reply, _output_tokens(reply), vertex=vertex)


def chunks(request: Request, reply: Reply, *, vertex: bool) -> Iterator[Object]:
    """Return a chunk for each part, with the usage so far, and a last one with the end."""
    head: Object = {"modelVersion": request.model, "responseId": uuid4().hex}
    for part in _thoughts(request, reply, pieced=True):
        yield _chunk([part]) | _usage(request, reply, 0, vertex=vertex) | head
    sent = 0
    for part in [*({"text": piece} for piece in pieces(reply.text or "")), *_build_parts(reply)]:
        sent += count_tokens(part["text"]) if "text" in part else 0
        yield _chunk([part]) | _usage(request, reply, sent, vertex=vertex) | head
    end = _chunk([{"text": ""} | _sign(reply)] if reply.text is not None else [])
    end["candidates"][0]["finishReason"] = _finish_reason(reply)
    yield end | _usage(request, reply, _output_tokens(reply), vertex=vertex) | head


def _chunk(parts: list[Object]) -> Object:
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return {"candidates": [{"content": content, "index": 0}]}


def _thoughts(request: Request, reply: Reply, *, pieced: bool) -> list[Object]:
    """Return the parts of the reasoning, where it is shown."""
    if not reply.reasoning or not request.detail:
        return []
    thoughts = pieces(reply.reasoning) if pieced else [reply.reasoning]
    return [{"text": each, "thought": True} for each in thoughts]


def _build_parts(reply: Reply) -> list[Object]:
    """Return function calls and images. Only the first of parallel calls is signed."""
    calls = [_function_call(call) for call in reply.calls]
    if calls:
        calls[0] |= _sign(reply)
    drawn = [{"mimeType": "image/png", "data": b64encode(each).decode()} for each in reply.images]
    return [*calls, *({"inlineData": data} for data in drawn)]


def _function_call(call: ToolCall) -> Object:
    return {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}}


def _sign(reply: Reply) -> Object:
    return {"thoughtSignature": sign(reply.reasoning)} if reply.reasoning else {}


def _finish_reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.truncated else "STOP"


def _output_tokens(reply: Reply) -> int:
    return reply.tokens - reply.reasoning_tokens


def _usage(request: Request, reply: Reply, sent: int, *, vertex: bool) -> Object:
    """Return the usage after `sent` output tokens, which do not include thoughts."""
    if not reply.usage:
        return {}
    usage: Object = {
        "promptTokenCount": request.tokens,
        "candidatesTokenCount": sent,
        "totalTokenCount": request.tokens + sent + reply.reasoning_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": request.tokens}],
    }
    if reply.reasoning_tokens:
        usage["thoughtsTokenCount"] = reply.reasoning_tokens
    if reply.images:
        drawn = TOKENS * len(reply.images)
        usage["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": drawn}]
    if vertex:
        usage["trafficType"] = "ON_DEMAND"
    return {"usageMetadata": usage}


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
        """Return no headers, because Google states the time to wait in the body."""
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
    """A stream of events, with Google's line ends. Errors have its media type too."""

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
