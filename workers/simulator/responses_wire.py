"""POST /v1/responses: answers, streams and errors as OpenAI sends them."""

import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import uuid4

import orjson

from workers.simulator.behaviour import parse
from workers.simulator.http import Exchange, json_call
from workers.simulator.openai_shapes import OpenAIWire, envelope
from workers.simulator.replies import pieces, sign
from workers.simulator.responses_request import PREFIX, Wanted, check, reject, understand
from workers.simulator.responses_store import ResponseStore, StoredResponse
from workers.simulator.wire import (
    ErrorReply,
    Head,
    Json,
    RefusedError,
    Reply,
    Request,
    ToolCall,
)

Object = dict[str, Any]
ECHOED: Final = ("background", "max_output_tokens", "metadata", "previous_response_id",
                 "reasoning", "store", "temperature", "text", "tool_choice", "tools", "top_p",
                 "truncation", "user")  # fmt: skip


def response(request: Request, reply: Reply) -> Object:
    """Return a whole answer."""
    whole = _head(request) | {"output": list(_items(request, reply))}
    whole["usage"] = _usage(request, reply) if reply.usage else None
    if reply.truncated:
        whole["status"] = "incomplete"
        whole["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        whole["status"] = "completed"
    return whole


def _head(request: Request) -> Object:
    """Return an answer that has just begun, with what the call said."""
    wanted: Wanted = request.detail
    return {
        "id": f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "queued" if request.background else "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": request.model,
        "output": [],
        "service_tier": "default",
        "usage": None,
        **{name: wanted.call[name] for name in ECHOED if name in wanted.call},
    }


def _items(request: Request, reply: Reply) -> Iterator[Object]:
    wanted: Wanted = request.detail
    if reply.reasoning:
        yield _reasoning(reply, wanted)
    for image in reply.images:
        yield {
            "id": f"ig_{uuid4().hex}",
            "type": "image_generation_call",
            "status": "completed",
            "output_format": "png",
            "result": b64encode(image).decode(),
        }
    if reply.text is not None:
        yield _message(reply.text, "incomplete" if reply.truncated else "completed")
    for call in reply.calls:
        yield _call(call, wanted)


def _reasoning(reply: Reply, wanted: Wanted) -> Object:
    summary = [{"type": "summary_text", "text": reply.reasoning}] if wanted.summarises else []
    item: Object = {"id": f"rs_{uuid4().hex}", "type": "reasoning", "summary": summary}
    if wanted.encrypts:
        item["encrypted_content"] = PREFIX + sign(reply.reasoning)
    return item


def _message(text: str, status: str) -> Object:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part],
    }


def _call(call: ToolCall, wanted: Wanted) -> Object:
    head: Object = {"status": "completed", "call_id": call.id, "name": call.name}
    if call.name in wanted.custom:
        text = orjson.loads(call.arguments)
        return {"id": f"ctc_{uuid4().hex}", "type": "custom_tool_call", **head, "input": text}
    ids = {"id": f"fc_{uuid4().hex}", "type": "function_call"}
    return {**ids, **head, "arguments": call.arguments}


def _usage(request: Request, reply: Reply) -> Object:
    return {
        "input_tokens": request.tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": request.tokens + reply.tokens,
    }


Event = tuple[str, Object]

TEXTS: Final[dict[str, tuple[str, str]]] = {  # kind of item: its text, the event of its deltas
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


def stream_events(whole: Object) -> Iterator[Event]:
    """Return the events of an answer: its beginning, each item with its deltas, and the whole."""
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    begun["incomplete_details"] = None
    if whole.get("background"):
        yield "queued", {"response": begun | {"status": "queued"}}
    yield "created", {"response": begun}
    yield "in_progress", {"response": begun}
    for index, item in enumerate(whole["output"]):
        for kind, data in _item_events(item):
            yield kind, {"output_index": index, **data}
    yield whole["status"], {"response": whole}


def _item_events(item: Object) -> Iterator[Event]:
    match item["type"]:
        case "message":
            yield "output_item.added", {"item": item | {"status": "in_progress", "content": []}}
            yield from _text_events(item)
        case "reasoning":
            begun = {"id": item["id"], "type": "reasoning", "summary": []}
            yield "output_item.added", {"item": begun}
            yield from _summary_events(item)
        case "function_call" | "custom_tool_call" as kind:
            name, event = TEXTS[kind]
            yield "output_item.added", {"item": item | {"status": "in_progress", name: ""}}
            place = {"item_id": item["id"]}
            for piece in pieces(item[name]):
                yield f"{event}.delta", {**place, "delta": piece}
            yield f"{event}.done", {**place, name: item[name]}
        case _:
            yield "output_item.added", {"item": item | {"status": "in_progress", "result": None}}
    yield "output_item.done", {"item": item}


def _text_events(item: Object) -> Iterator[Event]:
    [part] = item["content"]
    place = {"item_id": item["id"], "content_index": 0}
    yield "content_part.added", {**place, "part": part | {"text": ""}}
    for piece in pieces(part["text"]):
        yield "output_text.delta", {**place, "delta": piece, "logprobs": []}
    yield "output_text.done", {**place, "text": part["text"], "logprobs": []}
    yield "content_part.done", {**place, "part": part}


def _summary_events(item: Object) -> Iterator[Event]:
    for index, part in enumerate(item["summary"]):
        place = {"item_id": item["id"], "summary_index": index}
        yield "reasoning_summary_part.added", {**place, "part": part | {"text": ""}}
        for piece in pieces(part["text"]):
            yield "reasoning_summary_text.delta", {**place, "delta": piece}
        yield "reasoning_summary_text.done", {**place, "text": part["text"]}
        yield "reasoning_summary_part.done", {**place, "part": part}


def encode(number: int, kind: str, data: Json) -> bytes:
    name = kind if kind == "error" else f"response.{kind}"
    body = orjson.dumps({"type": name, "sequence_number": number, **data})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


class OpenAIResponses(OpenAIWire):
    """As strict as the original about fields, items and the ids of calls.

    It has one state, as the provider has: the responses that run in the background.
    """

    events_before_error = 6  # two of the answer, two of its message, and a few tokens

    def __init__(self) -> None:
        self.stored = ResponseStore()

    def read(self, head: Head, body: bytes) -> Request:
        del head
        call = json_call(body)
        try:
            check(call)
            return understand(call)
        except RefusedError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise reject("input", "The request does not have the shape of a response") from error

    def answer(self, request: Request, reply: Reply) -> bytes:
        whole = response(request, reply)
        if request.background:
            return orjson.dumps(self.keep(request, whole).now())
        return orjson.dumps(whole)

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        whole = response(request, reply)
        if request.background:
            return self.keep(request, whole).events
        return encode_events(whole)

    async def begin(self, exchange: Exchange, request: Request, reply: Reply) -> None:
        """Store an answer and stream it."""
        await self.keep(request, response(request, reply)).follow(exchange, after=-1)

    def keep(self, request: Request, whole: Object) -> StoredResponse:
        """Store an answer, which takes as long as its model's name says."""
        behaviour = parse(request.model)
        events = list(encode_events(whole))
        response = StoredResponse(whole, events, behaviour.latency_ms, behaviour.chunk_ms)
        return self.stored.add(response)

    def error_event(self, refusal: ErrorReply) -> bytes:
        error = envelope(refusal)["error"]
        data = {name: error[name] for name in ("code", "message", "param")}
        return encode(99, "error", data)


def encode_events(whole: Object) -> Iterator[bytes]:
    """Return the events of an answer, numbered from 0."""
    for number, (kind, data) in enumerate(stream_events(whole)):
        yield encode(number, kind, data)
