"""The objects of OpenAI's chat API: completion, chunk, usage, model."""

import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from workers.simulator.behaviour import LISTED
from workers.simulator.replies import pieces
from workers.simulator.requests import Reply, Request, ToolCall

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
    for piece in pieces(reply.text or ""):
        yield {"content": piece}
    for index, call in enumerate(reply.calls):
        yield {"tool_calls": [{"index": index, **_tool_call(call, arguments="")}]}
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    if reply.images:
        yield {"images": _images(reply)}


def _images(reply: Reply) -> list[Object]:
    """Return images as OpenRouter sends them, for OpenAI's chat has none."""
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
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
    }
