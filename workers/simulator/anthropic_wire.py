"""POST /v1/messages: answers, streams and errors as Anthropic sends them."""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import uuid4

import orjson

from workers.simulator.anthropic_request import PromptCache, check, understand
from workers.simulator.http import json_call
from workers.simulator.replies import pieces, sign
from workers.simulator.wire import (
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

OVERLOADED: Final = 529
TYPES: Final[dict[RefusalKind, str]] = {
    "rate_limited": "rate_limit_error",
    "server_error": "api_error",
    "overloaded": "overloaded_error",
    "unauthorized": "authentication_error",
    "bad_request": "invalid_request_error",
    "context_length": "invalid_request_error",
    "unknown_model": "not_found_error",
}
WORDS: Final[dict[RefusalKind, str]] = {  # where Anthropic has its own words
    "rate_limited": "This request would exceed your organization's rate limit",
    "server_error": "Internal server error: the simulator had an error",
    "overloaded": "Overloaded",
    "unauthorized": "invalid x-api-key",
    "context_length": "prompt is too long: 9001 tokens > 8192 maximum",
}


def envelope(refusal: ErrorReply) -> Json:
    words = WORDS.get(refusal.kind, refusal.message)
    return {
        "type": "error",
        "error": {"type": TYPES[refusal.kind], "message": words},
        "request_id": f"req_{uuid4().hex}",
    }


Object = dict[str, Any]


def message(request: Request, reply: Reply) -> Object:
    whole = opening(request) | {
        "content": content(reply),
        "stop_reason": stop_reason(reply),
        "usage": usage(request, reply.tokens),
    }
    if not reply.usage:
        del whole["usage"]
    return whole


def opening(request: Request) -> Object:
    """Return a message without content."""
    return {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def content(reply: Reply) -> list[Object]:
    blocks: list[Object] = []
    if reply.reasoning:
        signature = sign(reply.reasoning)
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": signature})
    if reply.text is not None:
        blocks.append({"type": "text", "text": reply.text})
    return blocks + [tool_use(call, orjson.loads(call.arguments)) for call in reply.calls]


def tool_use(call: ToolCall, arguments: Object) -> Object:
    identity = f"toolu_{call.id.removeprefix('call_')}"
    return {"type": "tool_use", "id": identity, "name": call.name, "input": arguments}


def stop_reason(reply: Reply) -> str:
    if reply.calls:
        return "tool_use"
    return "max_tokens" if reply.truncated else "end_turn"


def usage(request: Request, written: int) -> Object:
    """Return the usage. The input does not include cached tokens."""
    return {
        "input_tokens": request.tokens - request.cached - request.caching,
        "cache_creation_input_tokens": request.caching,
        "cache_read_input_tokens": request.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": request.caching,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": written,
        "service_tier": "standard",
    }


Block = tuple[Object, list[Object]]  # its start, and the deltas


def event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data))


def events(request: Request, reply: Reply) -> Iterator[Json]:
    """Return the events: start, a ping, the blocks, the delta with the usage, and stop."""
    message = opening(request)
    if reply.usage:
        message["usage"] = usage(request, 1)
    yield {"type": "message_start", "message": message}
    for index, (start, deltas) in enumerate(_blocks(reply)):
        yield {"type": "content_block_start", "index": index, "content_block": start}
        if not index:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield _end(request, reply)
    yield {"type": "message_stop"}


def _end(request: Request, reply: Reply) -> Json:
    reason = {"stop_reason": stop_reason(reply), "stop_sequence": None}
    end: Object = {"type": "message_delta", "delta": reason}
    if reply.usage:
        whole = usage(request, reply.tokens)
        end["usage"] = {key: whole[key] for key in whole if key.endswith("_tokens")}
    return end


def _blocks(reply: Reply) -> Iterator[Block]:
    if reply.reasoning:
        yield _thinking(reply.reasoning)
    if reply.text is not None:
        deltas: list[Object] = [{"type": "text_delta", "text": each} for each in pieces(reply.text)]
        yield {"type": "text", "text": ""}, deltas
    for call in reply.calls:
        yield _tool_use(call)


def _thinking(reasoning: str) -> Block:
    deltas: list[Object] = [
        {"type": "thinking_delta", "thinking": piece} for piece in pieces(reasoning)
    ]
    signature = {"type": "signature_delta", "signature": sign(reasoning)}
    return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]


def _tool_use(call: ToolCall) -> Block:
    """Return a call in pieces. An input without fields has no piece."""
    written = ["", *pieces(call.arguments)] if call.arguments != "{}" else [""]
    deltas: list[Object] = [{"type": "input_json_delta", "partial_json": each} for each in written]
    return tool_use(call, {}), deltas


class AnthropicMessages(Wire):
    """As strict as the original about headers, limits, signatures and tool results.

    It has one state, as the provider has: what is in the prompt cache.
    """

    def __init__(self) -> None:
        self._cache = PromptCache()

    def read(self, head: Head, body: bytes) -> Request:
        call = json_call(body)
        try:
            check(head, call)
            return understand(call, self._cache)
        except RefusedError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise invalid("messages: Input does not match the expected shape.") from error

    def status(self, refusal: ErrorReply) -> int:
        return OVERLOADED if refusal.kind == "overloaded" else refusal.status

    def headers(self, refusal: ErrorReply) -> tuple[Header, ...]:
        return (*super().headers(refusal), (b"request-id", f"req_{uuid4().hex}".encode()))

    def refuse(self, refusal: ErrorReply) -> bytes:
        return orjson.dumps(envelope(refusal))

    def answer(self, request: Request, reply: Reply) -> bytes:
        return orjson.dumps(message(request, reply))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        return map(event, events(request, reply))

    def error_event(self, refusal: ErrorReply) -> bytes:
        return event(envelope(refusal))
