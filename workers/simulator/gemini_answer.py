"""The answers of `generateContent`: one, or one chunk after another."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson

from workers.simulator.media import TOKENS
from workers.simulator.replies import count_tokens, pieces
from workers.simulator.requests import Reply, Request, ToolCall
from workers.simulator.signatures import sign

Object = dict[str, Any]


def whole(request: Request, reply: Reply, *, vertex: bool) -> Object:
    parts = _thoughts(request, reply, pieced=False)
    if reply.text is not None:
        parts.append({"text": reply.text} | _signed(reply))
    parts += _made(reply)
    chunk = _chunk(parts) | {"modelVersion": request.model, "responseId": uuid4().hex}
    chunk["candidates"][0]["finishReason"] = _finish_reason(reply)
    return chunk | _usage(request, reply, _said(reply), vertex=vertex)


def chunks(request: Request, reply: Reply, *, vertex: bool) -> Iterator[Object]:
    """Return a part a chunk, each with the usage so far, and one that only says the end."""
    head: Object = {"modelVersion": request.model, "responseId": uuid4().hex}
    for part in _thoughts(request, reply, pieced=True):
        yield _chunk([part]) | _usage(request, reply, 0, vertex=vertex) | head
    said = 0
    for part in [*({"text": piece} for piece in pieces(reply.text or "")), *_made(reply)]:
        said += count_tokens(part["text"]) if "text" in part else 0
        yield _chunk([part]) | _usage(request, reply, said, vertex=vertex) | head
    end = _chunk([{"text": ""} | _signed(reply)] if reply.text is not None else [])
    end["candidates"][0]["finishReason"] = _finish_reason(reply)
    yield end | _usage(request, reply, _said(reply), vertex=vertex) | head


def _chunk(parts: list[Object]) -> Object:
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return {"candidates": [{"content": content, "index": 0}]}


def _thoughts(request: Request, reply: Reply, *, pieced: bool) -> list[Object]:
    """Return the reasoning where it is to be shown; thought of it was all the same."""
    if not reply.reasoning or not request.detail:
        return []
    told = pieces(reply.reasoning) if pieced else [reply.reasoning]
    return [{"text": each, "thought": True} for each in told]


def _made(reply: Reply) -> list[Object]:
    """Return function calls and images; only the first of parallel calls is signed."""
    calls = [_function_call(call) for call in reply.calls]
    if calls:
        calls[0] |= _signed(reply)
    drawn = [{"mimeType": "image/png", "data": b64encode(each).decode()} for each in reply.images]
    return [*calls, *({"inlineData": data} for data in drawn)]


def _function_call(call: ToolCall) -> Object:
    return {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}}


def _signed(reply: Reply) -> Object:
    return {"thoughtSignature": sign(reply.reasoning)} if reply.reasoning else {}


def _finish_reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.truncated else "STOP"


def _said(reply: Reply) -> int:
    return reply.tokens - reply.reasoning_tokens


def _usage(request: Request, reply: Reply, said: int, *, vertex: bool) -> Object:
    """Return the usage when `said` tokens are out; thoughts are not among them."""
    if not reply.usage:
        return {}
    usage: Object = {
        "promptTokenCount": request.tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": request.tokens + said + reply.reasoning_tokens,
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
