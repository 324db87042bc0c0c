"""The answer of the Messages API, event by event."""

from collections.abc import Iterator

import orjson

from workers.simulator.anthropic_message import Object, opening, stop_reason, tool_use, usage
from workers.simulator.replies import pieces
from workers.simulator.requests import Json, Reply, Request, ToolCall
from workers.simulator.signatures import sign

Block = tuple[Object, list[Object]]  # as it starts, and what is added to it


def event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data))


def events(request: Request, reply: Reply) -> Iterator[Json]:
    """Return start, blocks, delta with the usage so far, stop; a ping after the first start."""
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
    """Return a call piece by piece; an input without fields never sends a byte."""
    written = ["", *pieces(call.arguments)] if call.arguments != "{}" else [""]
    deltas: list[Object] = [{"type": "input_json_delta", "partial_json": each} for each in written]
    return tool_use(call, {}), deltas
