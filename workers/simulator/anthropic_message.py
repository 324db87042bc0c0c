"""The answer of the Messages API."""

from typing import Any
from uuid import uuid4

import orjson

from workers.simulator.requests import Reply, Request, ToolCall
from workers.simulator.signatures import sign

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
    """Return a message that says nothing yet."""
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
    """Return what was read and written; what the cache has to do with is not in the input."""
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
