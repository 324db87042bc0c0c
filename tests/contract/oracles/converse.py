"""Read a recording of Amazon Bedrock's Converse or ConverseStream."""

import base64
import json
import struct
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

FINISH = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}


def expected(exchange: dict[str, Any]) -> Expected:
    if "stream" in exchange["tags"]:
        return _streamed(base64.b64decode(exchange["response"]["body"]))
    body = json.loads(exchange["response"]["body"])
    return _said(body["output"]["message"]["content"], body["stopReason"], body.get("usage"))


def _said(blocks: list[Any], stop: str, usage: dict[str, Any] | None) -> Expected:
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    uses = [use for use in uses if use.get("type") != "server_tool_use"]
    content = ""
    for block in blocks:
        content += block.get("text", "")
        cited = block.get("citationsContent", {}).get("content", [])
        content += "".join(piece["text"] for piece in cited)
    thoughts = [block.get("reasoningContent", {}).get("reasoningText", {}) for block in blocks]
    said = Said(
        content=content,
        reasoning="".join(thought.get("text", "") for thought in thoughts),
        calls=tuple((use["name"], use["input"]) for use in uses),
        finish=FINISH.get(stop, "stop"),
    )
    return Expected((said,), _counts(usage), call_ids=tuple(use["toolUseId"] for use in uses))


def _streamed(data: bytes) -> Expected:
    """Fold the events back into the blocks of a whole answer."""
    blocks: dict[int, Any] = {}
    stop = usage = None
    while data:
        total, head = struct.unpack(">II", data[:8])
        headers, payload = data[12 : 12 + head], json.loads(data[12 + head : total - 4] or b"{}")
        data = data[total:]
        if b"exception" in headers:
            return Expected(failure=True)
        if b"contentBlock" in headers:
            block = blocks.setdefault(payload["contentBlockIndex"], {})
            _fold(block, payload.get("start") or payload.get("delta") or {})
        stop = payload.get("stopReason", stop)
        usage = payload.get("usage", usage)
    if stop is None:
        return Expected(unfinished=True)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"].get("input") or "{}")
    return _said([blocks[index] for index in sorted(blocks)], stop, usage)


def _fold(block: dict[str, Any], piece: dict[str, Any]) -> None:
    if "text" in piece:
        block["text"] = block.get("text", "") + piece["text"]
    if "reasoningContent" in piece:
        thought = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
        thought["text"] = thought.get("text", "") + piece["reasoningContent"].get("text", "")
    if "toolUse" in piece:
        use = block.setdefault("toolUse", {})
        use["input"] = use.get("input", "") + piece["toolUse"].pop("input", "")
        use |= piece["toolUse"]


def _counts(usage: dict[str, Any] | None) -> Counts | None:
    if not usage:
        return None
    read, write = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    return Counts(
        prompt=usage["inputTokens"] + (read or 0) + (write or 0),
        completion=usage["outputTokens"],
        cached=read,
    )
