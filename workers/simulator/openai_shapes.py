"""The objects and errors of OpenAI's API: messages, completion, chunk, usage, model."""

import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import orjson

from workers.simulator.behaviour import LISTED
from workers.simulator.replies import inline, pieces, read_link
from workers.simulator.wire import (
    Attachment,
    ErrorReply,
    Json,
    RefusalKind,
    Reply,
    Request,
    ToolCall,
    Wire,
)

ERRORS: Final[dict[RefusalKind, tuple[str, str | None, str | None]]] = {
    # kind: type, param, code
    "rate_limited": ("requests", None, "rate_limit_exceeded"),
    "server_error": ("server_error", None, None),
    "overloaded": ("service_unavailable_error", None, "overloaded"),
    "unauthorized": ("invalid_request_error", None, "invalid_api_key"),
    "bad_request": ("invalid_request_error", "messages", None),
    "context_length": ("invalid_request_error", "messages", "context_length_exceeded"),
    "unknown_model": ("invalid_request_error", "model", "model_not_found"),
}


SOUND_BYTES: Final = 4_000  # of a piece of sound


class OpenAIWire(Wire):
    """A wire with OpenAI's errors."""

    def refuse(self, refusal: ErrorReply) -> bytes:
        return orjson.dumps(envelope(refusal))

    def error_event(self, refusal: ErrorReply) -> bytes:
        return event(envelope(refusal))


def envelope(refusal: ErrorReply) -> Json:
    kind, param, code = ERRORS[refusal.kind]
    param, code = refusal.param or param, refusal.code or code
    return {"error": {"message": refusal.message, "type": kind, "param": param, "code": code}}


def event(data: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content or ()
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def attachments_of(content: Any) -> tuple[Attachment, ...]:
    """Return the attachments of a content. Raises ValueError for an unknown kind."""
    if not isinstance(content, list):
        return ()
    return tuple(_attachment(part) for part in content if part["type"] not in ("text", "refusal"))


def _attachment(part: Json) -> Attachment:
    match part["type"]:
        case "image_url":
            return read_link(part["image_url"]["url"], "image")
        case "video_url":
            return read_link(part["video_url"]["url"], "video")
        case "input_audio":
            sound = part["input_audio"]
            if isinstance(sound, str):  # Mistral's; a data URI or bare base64
                return read_link(sound, "sound") if ":" in sound[:8] else inline("audio", sound)
            return inline(f"audio/{sound['format']}", sound["data"])
        case "file":
            file = part["file"]
            return read_link(file.get("file_data") or file["file_id"], "document")
        case "document_url":
            return read_link(part["document_url"], "document")
    raise ValueError(part["type"])


Object = dict[str, Any]

FIRST_SEEN: Final = 1_735_689_600  # 2025-01-01, the `created` of every model


def model_list() -> Object:
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": FIRST_SEEN, "owned_by": "waybill-simulator"}
            for name in LISTED
        ],
    }


def completion(request: Request, reply: Reply) -> Object:
    message: Object = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [_tool_call(call) for call in reply.calls]
    if reply.images:
        message["images"] = _images(reply)
    if reply.sound:
        message |= {"content": None, "audio": _audio(reply.sound, reply.text or "")}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(reply),
    }
    whole = _head(request, "chat.completion") | {"choices": [choice]}
    return whole | {"usage": usage(request, reply)} if reply.usage else whole


def chunks(request: Request, reply: Reply) -> Iterator[Object]:
    """Return the chunks of a stream: role, reasoning, text or tool calls, finish, usage."""
    head = _head(request, "chat.completion.chunk")
    if counted := request.stream_usage and reply.usage:
        head["usage"] = None
    for delta in _deltas(reply):
        yield head | {"choices": [_choice(delta, None)]}
    yield head | {"choices": [_choice({}, finish_reason(reply))]}
    if counted:
        yield head | {"choices": [], "usage": usage(request, reply)}


def _deltas(reply: Reply) -> Iterator[Object]:
    opening = None if reply.text is None else ""
    yield {"role": "assistant", "content": opening, "refusal": None}
    for piece in pieces(reply.reasoning):
        yield {"reasoning_content": piece}
    if reply.sound:
        yield from _sound_deltas(reply)
        return
    for piece in pieces(reply.text or ""):
        yield {"content": piece}
    for index, call in enumerate(reply.calls):
        yield {"tool_calls": [{"index": index, **_tool_call(call, arguments="")}]}
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    if reply.images:
        yield {"images": _images(reply)}


def _audio(sound: bytes, transcript: str) -> Object:
    encoded = b64encode(sound).decode()
    return {"id": "audio_1", "data": encoded, "transcript": transcript, "expires_at": 2_000_000_000}


def _sound_deltas(reply: Reply) -> Iterator[Object]:
    """Yield spoken text: each piece of sound is base64 of its own, with its own padding."""
    yield {"audio": {"id": "audio_1", "transcript": ""}}
    for piece in pieces(reply.text or ""):
        yield {"audio": {"transcript": piece}}
    for start in range(0, len(reply.sound), SOUND_BYTES):
        data = reply.sound[start : start + SOUND_BYTES]
        yield {"audio": {"data": b64encode(data).decode()}}
    yield {"audio": {"expires_at": 2_000_000_000}}


def _images(reply: Reply) -> list[Object]:
    """Return images in OpenRouter's shape, because OpenAI's chat has none."""
    addresses = [f"data:image/png;base64,{b64encode(image).decode()}" for image in reply.images]
    return [
        {"type": "image_url", "index": index, "image_url": {"url": address}}
        for index, address in enumerate(addresses)
    ]


def _choice(delta: Object, finish: str | None) -> Object:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _head(request: Request, kind: str) -> Object:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": "fp_simulator",
    }


def _tool_call(call: ToolCall, arguments: str | None = None) -> Object:
    written = call.arguments if arguments is None else arguments
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": written},
    }


def finish_reason(reply: Reply) -> str:
    if reply.calls:
        return "tool_calls"
    return "length" if reply.truncated else "stop"


def usage(request: Request, reply: Reply) -> Object:
    return {
        "prompt_tokens": request.tokens,
        "completion_tokens": reply.tokens,
        "total_tokens": request.tokens + reply.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_tokens,
            "audio_tokens": reply.tokens if reply.sound else 0,
        },
    }
