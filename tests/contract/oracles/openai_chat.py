"""Read a recording of OpenAI's chat completions, in any vendor's variation."""

import json
import re
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

FINISH = {"function_call": "tool_calls", "tool_call": "tool_calls", "max_tokens": "length"}


def expected(exchange: dict[str, Any]) -> Expected:
    if "stream" in exchange["tags"]:
        return _streamed(exchange)
    body = json.loads(exchange["response"]["body"])
    if body.get("error") or any(choice.get("error") for choice in body.get("choices", [])):
        return Expected(failure=True)
    legacy = "functions" in exchange["request"]["body"]
    said = tuple(_said(c["message"], c.get("finish_reason"), legacy) for c in body["choices"])
    ids = tuple(
        call["id"]
        for choice in body["choices"]
        for call in choice["message"].get("tool_calls") or []
        if call.get("id")
    )
    return Expected(said, _counts(body.get("usage")), call_ids=ids)


def _streamed(exchange: dict[str, Any]) -> Expected:
    events = [
        json.loads(line[5:])
        for line in exchange["response"]["body"].replace("\r\n", "\n").split("\n")
        if line.startswith("data:") and line[5:].strip() not in ("", "[DONE]")
    ]
    if any(event.get("error") for event in events):
        return Expected(failure=True)
    choices = [choice for event in events for choice in event.get("choices") or []]
    if not any(choice.get("finish_reason") for choice in choices):
        return Expected(unfinished=True)
    said = []
    for index in sorted({choice["index"] for choice in choices}):
        mine = [choice for choice in choices if choice["index"] == index]
        finish = next(c["finish_reason"] for c in mine if c.get("finish_reason"))
        said.append(_said(_folded([choice.get("delta") or {} for choice in mine]), finish, False))
    usages = [
        usage
        for event in events
        if (usage := event.get("usage") or (event.get("x_groq") or {}).get("usage"))
    ]
    return Expected(tuple(said), _counts(usages[-1] if usages else None))


def _folded(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"content": [], "reasoning": "", "tool_calls": []}
    for delta in deltas:
        content = delta.get("content") or []
        message["content"] += [content] if isinstance(content, str) else content
        message["reasoning"] += delta.get("reasoning") or delta.get("reasoning_content") or ""
        for call in delta.get("tool_calls") or []:
            function = call.get("function") or {}
            if name := function.get("name"):
                message["tool_calls"].append({"function": {"name": name, "arguments": ""}})
            message["tool_calls"][-1]["function"]["arguments"] += function.get("arguments") or ""
    return message


def _said(message: dict[str, Any], finish: str | None, legacy: bool) -> Said:
    content, reasoning = _text(message.get("content"))
    reasoning = message.get("reasoning") or message.get("reasoning_content") or reasoning
    if not reasoning and content.lstrip().startswith("<think>"):
        found = re.fullmatch(r"\s*<think>\n*(.*?)(?:</think>\n*(.*))?", content, re.DOTALL)
        assert found
        reasoning, content = found[1], found[2] or ""
    calls = [_call(call) for call in message.get("tool_calls") or []]
    function = message.get("function_call")
    if function and function.get("name"):
        calls.append((function["name"], json.loads(function["arguments"])))
    finish = FINISH.get(finish or "", finish or "stop")
    if calls and finish == "stop":
        finish = "tool_calls"
    return Said(content, reasoning, tuple(calls), finish)


def _text(content: Any) -> tuple[str, str]:
    if isinstance(content, dict):
        return json.dumps(content, separators=(",", ":")), ""
    if not isinstance(content, list):
        return content or "", ""
    text = "".join(p if isinstance(p, str) else p.get("text", "") for p in content)
    parts = [p["thinking"] for p in content if isinstance(p, dict) and p.get("type") == "thinking"]
    return text, "".join(piece["text"] for part in parts for piece in part)


def _call(call: dict[str, Any]) -> tuple[str, Any]:
    if "custom" in call:
        return call["custom"]["name"], call["custom"]["input"]
    arguments = call["function"]["arguments"]
    if isinstance(arguments, str):
        arguments = json.loads(arguments or "{}")
    return call["function"]["name"], arguments or {}


def _counts(usage: dict[str, Any] | None) -> Counts | None:
    if not usage:
        return None
    prompt, completion, total = (
        usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if total and total > prompt + completion:
        completion = total - prompt  # xAI and Google leave reasoning out of the completion
    cached = [
        (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        *(usage.get(n) for n in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")),
        usage.get("cache_read_input_tokens"),
    ]
    stated = [count for count in cached if count is not None]
    details = usage.get("completion_tokens_details") or {}
    return Counts(
        prompt=prompt,
        completion=completion,
        cached=min(max(stated), prompt) if stated else None,
        reasoning=details.get("reasoning_tokens"),
        cost_nanos=_cost(usage),
    )


def _cost(usage: dict[str, Any]) -> int | None:
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost["total_cost"]
    if cost is not None:
        return round(cost * 1e9)
    ticks = usage.get("cost_in_usd_ticks")
    return None if ticks is None else round(ticks / 10)
