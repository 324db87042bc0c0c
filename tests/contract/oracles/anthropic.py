"""Read a recording of Anthropic's Messages API."""

import json
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def expected(exchange: dict[str, Any]) -> Expected:
    if "stream" not in exchange["tags"]:
        message = json.loads(exchange["response"]["body"])
        if message["type"] == "error":
            return Expected(failure=True)
        return _expected(message["content"], message["stop_reason"], message["usage"])
    events = [
        json.loads(line[5:])
        for line in exchange["response"]["body"].replace("\r\n", "\n").split("\n")
        if line.startswith("data:")
    ]
    if any(event["type"] == "error" for event in events):
        return Expected(failure=True)
    ends = [event for event in events if event["type"] == "message_delta"]
    if not ends:
        return Expected(unfinished=True)
    usage = next(e["message"]["usage"] for e in events if e["type"] == "message_start")
    for end in ends:
        usage = usage | end.get("usage", {})
    return _expected(_blocks(events), ends[-1]["delta"]["stop_reason"], usage)


def _blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"], json="")
        if event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["thinking"] = block.get("thinking", "") + delta.get("thinking", "")
            block["json"] += delta.get("partial_json", "")
    for block in blocks.values():
        if block["json"]:
            block["input"] = json.loads(block["json"])
    return list(blocks.values())


def _expected(blocks: list[dict[str, Any]], stop: str, usage: dict[str, Any]) -> Expected:
    calls = [block for block in blocks if block["type"] == "tool_use"]
    said = Said(
        content="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
        calls=tuple((call["name"], call["input"]) for call in calls),
        finish=FINISH[stop],
    )
    cached = usage.get("cache_read_input_tokens")
    counts = Counts(
        prompt=usage["input_tokens"]
        + (cached or 0)
        + (usage.get("cache_creation_input_tokens") or 0),
        completion=usage["output_tokens"],
        cached=cached,
        reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    )
    return Expected((said,), counts, call_ids=tuple(call["id"] for call in calls))
