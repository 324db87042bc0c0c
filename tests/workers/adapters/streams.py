"""A small stream of every wire, in parts: each says `Hello world`, stops, and counts 10 and 5."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from broker.completion import CompletionRequest, Usage

REQUEST = CompletionRequest({"messages": [{"role": "user", "content": "Hi"}]}, "m", stream=True)
COUNTED = Usage(input=10, output=5)


@dataclass(frozen=True)
class WireStream:
    """The parts of one stream, each a list of events."""

    wire: str
    opening: Sequence[bytes]  # says nothing of the answer yet
    text: Sequence[bytes]
    finish: Sequence[bytes]  # the finish reason, with the usage where the wire sends both together
    usage: Sequence[bytes] = ()
    end: Sequence[bytes] = ()  # the protocol's own end, where it has one of its own
    content_type: str = "text/event-stream"

    @property
    def whole(self) -> bytes:
        parts = (self.opening, self.text, self.finish, self.usage, self.end)
        return b"".join(event for part in parts for event in part)


def sse(payload: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload)}\n\n".encode()


def aws_frame(payload: object, kind: str) -> bytes:
    """One message of the Amazon Event Stream Specification."""
    headers = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
    encoded = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(encoded) + len(body), len(encoded))
    message = prelude + struct.pack(">I", crc32(prelude)) + encoded + body
    return message + struct.pack(">I", crc32(message))


def chunk(delta: object, finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({"id": "c1", "model": "m", "choices": [choice], **more})


def _openai(wire: str) -> WireStream:
    counted = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return WireStream(
        wire,
        opening=[chunk({"role": "assistant", "content": ""})],
        text=[chunk({"content": "Hello "}), chunk({"content": "world"})],
        finish=[chunk({}, "stop")],
        usage=[sse({"id": "c1", "choices": [], "usage": counted})],
        end=[b"data: [DONE]\n\n"],
    )


def _anthropic() -> WireStream:
    def event(kind: str, **said: object) -> bytes:
        return sse({"type": kind, **said}, kind)

    begun = {"id": "m1", "role": "assistant", "content": [], "usage": {"input_tokens": 10}}
    texts = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        for text in ("Hello ", "world")
    ]
    block = {"type": "text", "text": ""}
    return WireStream(
        "anthropic",
        opening=[
            event("message_start", message=begun),
            event("ping"),
            event("content_block_start", index=0, content_block=block),
        ],
        text=texts,
        finish=[
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
        ],
        end=[event("message_stop")],
    )


def _gemini() -> WireStream:
    def event(text: str, **more: object) -> bytes:
        candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, **more}
        counted = {"promptTokenCount": 10, "candidatesTokenCount": 5 if more else 1}
        return sse({"candidates": [candidate], "usageMetadata": counted})

    return WireStream(
        "gemini",
        opening=[sse({"responseId": "r1", "usageMetadata": {"promptTokenCount": 10}})],
        text=[event("Hello "), event("world")],
        finish=[event("", finishReason="STOP")],
    )


def _cohere() -> WireStream:
    def event(kind: str, **said: object) -> bytes:
        return sse({"type": kind, **said}, kind)

    def text(said: str) -> bytes:
        return event("content-delta", index=0, delta={"message": {"content": {"text": said}}})

    counted = {"tokens": {"input_tokens": 10, "output_tokens": 5}}
    return WireStream(
        "cohere",
        opening=[event("message-start", id="m1", delta={"message": {"role": "assistant"}})],
        text=[text("Hello "), text("world")],
        finish=[event("message-end", delta={"finish_reason": "COMPLETE", "usage": counted})],
    )


def _bedrock() -> WireStream:
    def text(said: str) -> bytes:
        return aws_frame({"contentBlockIndex": 0, "delta": {"text": said}}, "contentBlockDelta")

    return WireStream(
        "bedrock",
        opening=[aws_frame({"role": "assistant"}, "messageStart")],
        text=[text("Hello "), text("world")],
        finish=[aws_frame({"stopReason": "end_turn"}, "messageStop")],
        usage=[aws_frame({"usage": {"inputTokens": 10, "outputTokens": 5}}, "metadata")],
        content_type="application/vnd.amazon.eventstream",
    )


def _responses() -> WireStream:
    def event(kind: str, **said: object) -> bytes:
        return sse({"type": f"response.{kind}", **said}, f"response.{kind}")

    def text(said: str) -> bytes:
        return event("output_text.delta", output_index=0, content_index=0, delta=said)

    begun = {"id": "resp_1", "object": "response", "model": "m", "output": []}
    said = {"type": "output_text", "text": "Hello world"}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [said]}
    counted = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    whole = {**begun, "status": "completed", "output": [item], "usage": counted}
    return WireStream(
        "responses",
        opening=[
            event("created", response={**begun, "status": "in_progress"}),
            event("output_item.added", output_index=0, item={**item, "content": []}),
        ],
        text=[text("Hello "), text("world")],
        finish=[event("completed", response=whole)],
    )


STREAMS = {
    stream.wire: stream
    for stream in (
        _openai("openai"),
        _openai("azure"),
        _openai("mistral"),
        _anthropic(),
        _gemini(),
        _cohere(),
        _bedrock(),
        _responses(),
    )
}
