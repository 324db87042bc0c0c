"""Read a recording of Cohere's chat, version 2 or 1."""

import json
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

FINISH = {"MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "ERROR": "error", None: "stop"}


def expected(exchange: dict[str, Any]) -> Expected:
    text = exchange["response"]["body"]
    if "stream" not in exchange["tags"]:
        body = json.loads(text)
        return _first(body) if "text" in body else _second(body)
    if "event_type" in text[:200]:
        return _first(json.loads(text.strip().split("\n")[-1])["response"])
    return _streamed(text)


def _first(body: dict[str, Any]) -> Expected:
    tokens = body.get("meta", {}).get("tokens") or body.get("meta", {}).get("billed_units") or {}
    counts = _counts({"tokens": tokens, "cached_tokens": body["meta"].get("cached_tokens")})
    finish = FINISH.get(body.get("finish_reason"), "stop")
    return Expected((Said(content=body["text"], finish=finish),), counts)


def _second(body: dict[str, Any]) -> Expected:
    message = body["message"]
    blocks = message.get("content") or []
    calls = message.get("tool_calls") or []
    said = Said(
        content="".join(b["text"] for b in blocks if b["type"] == "text"),
        reasoning="".join(b["thinking"] for b in blocks if b["type"] == "thinking")
        + message.get("tool_plan", ""),
        calls=tuple((c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls),
        finish=FINISH.get(body["finish_reason"], "stop"),
    )
    ids = tuple(call["id"] for call in calls)
    return Expected((said,), _counts(body.get("usage")), call_ids=ids)


def _streamed(text: str) -> Expected:
    content = reasoning = ""
    calls: list[list[str]] = []
    ids = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.startswith("data:") or line.endswith("[DONE]"):
            continue
        event = json.loads(line[5:])
        message = event.get("delta", {}).get("message", {})
        if event["type"] in ("content-start", "content-delta"):
            content += message["content"].get("text", "")
            reasoning += message["content"].get("thinking", "")
        elif event["type"] == "tool-plan-delta":
            reasoning += message["tool_plan"]
        elif event["type"] == "tool-call-start":
            function = message["tool_calls"]["function"]
            calls.append([function["name"], function["arguments"]])
            ids.append(message["tool_calls"]["id"])
        elif event["type"] == "tool-call-delta":
            calls[-1][1] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            if event["delta"].get("error"):
                return Expected(failure=True)
            said = Said(
                content=content,
                reasoning=reasoning,
                calls=tuple((name, json.loads(arguments or "{}")) for name, arguments in calls),
                finish=FINISH.get(event["delta"]["finish_reason"], "stop"),
            )
            counts = _counts(event["delta"].get("usage"))
            return Expected((said,), counts, call_ids=tuple(ids))
    return Expected(unfinished=True)


def _counts(usage: dict[str, Any] | None) -> Counts | None:
    tokens = (usage or {}).get("tokens")
    if not tokens:
        return None
    return Counts(
        prompt=tokens["input_tokens"],
        completion=tokens["output_tokens"],
        cached=usage.get("cached_tokens"),
        reasoning=tokens.get("reasoning_tokens"),
    )
